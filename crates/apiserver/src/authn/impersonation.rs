//! Acting as someone else: whom the `Impersonate-*` headers name, and whether the requester may. Narrow permissions are tried
//! first (`impersonate:MODE` for whom, `impersonate-on:MODE:VERB` for what), the old `impersonate` last; the first refusal
//! is told. Docs: "User Impersonation"; KEP-5284.

use super::{AUTHENTICATED, unescape, words};
use crate::authz::Authorizers;
use cache::Snapshot;
use http::HeaderMap;
use kinds::ApiError;
use rules::User;
use rules::rbac::{self, Attributes, MASTERS};
use std::collections::BTreeMap;

const AUTHENTICATION: &str = "authentication.k8s.io";
const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const NODE_PREFIX: &str = "system:node:";
const NODES: &str = "system:nodes";
/// What stands for the extras of a requester that acts as its own node.
const NODE_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";
/// From so many on, all of them at once are asked for first.
const MANY: usize = 4;

/// A way to act as someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

const MODES: [Mode; 5] = [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn verb(self) -> String {
        if self == Self::Legacy { "impersonate".to_owned() } else { format!("impersonate:{}", self.name()) }
    }

    /// The group of users and groups.
    fn group(self) -> &'static str {
        if self == Self::Legacy { "" } else { AUTHENTICATION }
    }

    /// Whether this is a way to act as the wanted one at all.
    fn applies(self, wanted: &User, requester: &User) -> bool {
        let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        match self {
            Self::AssociatedNode => only_name && node_of(wanted).is_some_and(|n| requester.runs_on(n)),
            Self::ArbitraryNode => only_name && node_of(wanted).is_some(),
            Self::ServiceAccount => only_name && account_of(wanted).is_some(),
            Self::UserInfo => node_of(wanted).is_none() && account_of(wanted).is_none(),
            Self::Legacy => true,
        }
    }
}

/// The name of a node, if that is what the user is.
fn node_of(user: &User) -> Option<&str> {
    user.name.strip_prefix(NODE_PREFIX).filter(|n| rules::names::dns_subdomain(n).is_empty())
}

/// Namespace and name of a service account, if that is what the user is.
fn account_of(user: &User) -> Option<(&str, &str)> {
    let (namespace, name) = user.service_account()?;
    let valid = rules::names::dns_label(namespace).is_empty() && rules::names::dns_subdomain(name).is_empty();
    valid.then_some((namespace, name))
}

/// Whom the headers name, as they say it; `Ok(None)` without any.
///
/// # Errors
/// 400: groups, uid or extras without a user.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Option<User>, ApiError> {
    if !headers.keys().any(|k| k.as_str().starts_with("impersonate-")) {
        return Ok(None);
    }
    let text = |n: &str| headers.get(n).map(words).unwrap_or_default();
    let groups = headers.get_all("impersonate-group").iter().map(words).collect();
    let mut extra = BTreeMap::<String, Vec<String>>::new();
    for (k, v) in headers {
        if let Some(key) = k.as_str().strip_prefix("impersonate-extra-") {
            extra.entry(unescape(key)).or_default().push(words(v));
        }
    }
    let user = User { name: text("impersonate-user"), uid: text("impersonate-uid"), groups, extra };
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty() {
        return Ok(None);
    }
    Err(ApiError::bad_request(format!("requested {} without impersonating a user name", shown(&user))))
}

/// A user as Go prints it.
fn shown(user: &User) -> String {
    let list = |v: &[String]| format!("[]string{{{}}}", v.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(", "));
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&user.groups) };
    let extra = match user.extra.is_empty() {
        true => "map[string][]string(nil)".to_owned(),
        false => format!("map[string][]string{{{}}}", user.extra.iter().map(|(k, v)| format!("{k:?}:{}", list(v))).collect::<Vec<_>>().join(", ")),
    };
    format!("&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}", user.name, user.uid)
}

/// Who decides, and what is asked for meanwhile.
pub(crate) struct Asker<'a> {
    pub(crate) authz: &'a Authorizers,
    pub(crate) snapshot: &'a Snapshot,
    /// What is to be done as someone else.
    pub(crate) request: &'a Attributes,
    /// Whether the narrow permissions count (feature gate `ConstrainedImpersonation`).
    pub(crate) constrained: bool,
}

impl Asker<'_> {
    /// The user that the request acts as from now on, and the permission that it came by (none for the old way).
    ///
    /// # Errors
    /// 403: the first refusal.
    pub(crate) async fn become_someone(&self, requester: &User, wanted: &User) -> Result<(User, Option<String>), ApiError> {
        let mut first = None;
        for mode in MODES {
            if !mode.applies(wanted, requester) || (mode != Mode::Legacy && !self.constrained) {
                continue;
            }
            match self.by(mode, requester, wanted).await {
                Ok(user) => return Ok((user, (mode != Mode::Legacy).then(|| mode.verb()))),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or_else(|| ApiError::internal("all impersonation modes failed")))
    }

    async fn by(&self, mode: Mode, requester: &User, wanted: &User) -> Result<User, ApiError> {
        // What allows acting as one's own node allows it on every node: its name and the pod's are no part of the question.
        let anywhere = User { extra: [(NODE_KEYS.to_owned(), requester.extra.keys().cloned().collect())].into(), ..requester.clone() };
        let requester = if mode == Mode::AssociatedNode { &anywhere } else { requester };
        if mode != Mode::Legacy {
            let verb = format!("impersonate-on:{}:{}", mode.name(), self.request.verb);
            self.may(requester, &Attributes { verb, ..self.request.clone() }).await?;
        }
        self.may(requester, &name(mode, wanted)).await?;
        if !wanted.uid.is_empty() {
            self.may(requester, &one(mode, AUTHENTICATION, "uids", &wanted.uid)).await?;
        }
        self.groups(mode, requester, wanted).await?;
        self.extra(mode, requester, wanted).await?;
        Ok(completed(mode, wanted))
    }

    async fn groups(&self, mode: Mode, requester: &User, wanted: &User) -> Result<(), ApiError> {
        let group = |name: &str| one(mode, mode.group(), "groups", name);
        if mode != Mode::Legacy {
            if wanted.in_group("") {
                return Err(refused(requester, &group(""), "impersonating the empty string group is not allowed"));
            }
            if wanted.in_group(MASTERS) {
                return Err(refused(requester, &group(MASTERS), "impersonating the system:masters group is not allowed"));
            }
            if wanted.groups.len() >= MANY && self.may(requester, &group("*")).await.is_ok() {
                return Ok(());
            }
        }
        for g in &wanted.groups {
            self.may(requester, &group(g)).await?;
        }
        Ok(())
    }

    async fn extra(&self, mode: Mode, requester: &User, wanted: &User) -> Result<(), ApiError> {
        let about = |key: &str, value: &str| Attributes { subresource: key.to_owned(), ..one(mode, AUTHENTICATION, "userextras", value) };
        if mode != Mode::Legacy {
            if let Some(why) = odd_extra(&wanted.extra) {
                return Err(refused(requester, &about("", ""), &why));
            }
            let many = wanted.extra.len() >= MANY || wanted.extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.may(requester, &about("*", "*")).await.is_ok() {
                return Ok(());
            }
        }
        for (key, values) in &wanted.extra {
            for value in values {
                self.may(requester, &about(key, value)).await?;
            }
        }
        Ok(())
    }

    async fn may(&self, requester: &User, asked: &Attributes) -> Result<(), ApiError> {
        let verdict = self.authz.decide(self.snapshot, requester, asked).await;
        if verdict.allowed { Ok(()) } else { Err(rbac::forbidden(requester, asked, &verdict)) }
    }
}

fn refused(requester: &User, asked: &Attributes, why: &str) -> ApiError {
    rbac::forbidden(requester, asked, &rbac::Verdict { reason: why.to_owned(), ..rbac::Verdict::default() })
}

fn one(mode: Mode, group: &str, resource: &str, name: &str) -> Attributes {
    Attributes {
        verb: mode.verb(),
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        is_resource: true,
        ..Attributes::default()
    }
}

/// The question for the name.
fn name(mode: Mode, wanted: &User) -> Attributes {
    let about = |resource: &str, name: &str| one(mode, mode.group(), resource, name);
    match (node_of(wanted), account_of(wanted)) {
        (Some(_), _) if mode == Mode::AssociatedNode => about("nodes", "*"),
        (Some(node), _) if mode != Mode::Legacy => about("nodes", node),
        (_, Some((namespace, name))) => Attributes { namespace: namespace.to_owned(), ..about("serviceaccounts", name) },
        _ => about("users", &wanted.name),
    }
}

/// The wanted user with the groups that such users have.
fn completed(mode: Mode, wanted: &User) -> User {
    let mut user = wanted.clone();
    if mode != Mode::Legacy && node_of(wanted).is_some() {
        user.groups = vec![NODES.to_owned()];
    }
    if let (Some((namespace, _)), true) = (account_of(wanted), wanted.groups.is_empty()) {
        user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let also = match () {
        () if user.name == ANONYMOUS => Some(UNAUTHENTICATED),
        () if user.in_group(UNAUTHENTICATED) => None,
        () => Some(AUTHENTICATED),
    };
    if let Some(group) = also.filter(|g| !user.in_group(g)) {
        user.groups.push(group.to_owned());
    }
    user
}

fn odd_extra(extra: &BTreeMap<String, Vec<String>>) -> Option<String> {
    extra.iter().find_map(|(key, values)| {
        if key.is_empty() {
            return Some("impersonating the empty string key in extra is not allowed".to_owned());
        }
        if let Some(why) = rules::names::domain_prefixed(key).first() {
            return Some(format!("impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {key:?}: {why}"));
        }
        if *key != key.to_lowercase() {
            return Some(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"));
        }
        values.iter().any(String::is_empty).then(|| "impersonating the empty string value in extra is not allowed".to_owned())
    })
}
