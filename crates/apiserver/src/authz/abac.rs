//! Attribute-based access control: a file with one policy a line, read when the server starts. Docs: "Using ABAC
//! Authorization".

use rules::User;
use rules::rbac::Attributes;
use serde::Deserialize;

/// Who is known at all: `*` for users or groups means them.
const AUTHENTICATED: &str = "system:authenticated";
/// The version of lines that say one.
const VERSION: &str = "abac.authorization.kubernetes.io/v1beta1";

/// What a policy allows to whom; what is empty means nobody, or nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    user: String,
    group: String,
    readonly: bool,
    api_group: String,
    resource: String,
    namespace: String,
    #[serde(rename = "nonResourcePath")]
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    spec: Option<Spec>,
}

/// The policies of a file.
#[derive(Clone, Debug, Default)]
pub struct Policies(Vec<Spec>);

impl Policies {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The line that is no policy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().zip(1..).map(|(line, n)| (line.trim(), n));
        let policies = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).map(|(line, n)| {
            let bad = |why: String| format!("error reading policy file, line {n}: {line}: {why}");
            let read: Line = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
            match (read.api_version.as_str(), read.kind.as_str(), read.spec) {
                (VERSION, "Policy", spec) => Ok(spec.unwrap_or_default().known()),
                ("", "", _) => serde_json::from_str::<Spec>(line).map(Spec::unversioned).map_err(|e| bad(e.to_string())),
                (version, kind, _) => Err(bad(format!("no kind {kind:?} is registered for version {version:?}"))),
            }
        });
        policies.collect::<Result<_, _>>().map(Self)
    }

    /// Whether some policy allows it.
    #[must_use]
    pub fn allow(&self, user: &User, a: &Attributes) -> bool {
        self.0.iter().any(|p| p.means(user) && p.covers(a))
    }
}

impl Spec {
    /// Everybody is whoever is known.
    fn known(mut self) -> Self {
        if self.user == "*" || self.group == "*" {
            (self.user, self.group) = (String::new(), AUTHENTICATED.to_owned());
        }
        self
    }

    /// Of the first version: who is not named is everybody, what is not named is everything.
    fn unversioned(mut self) -> Self {
        let everything = self.resource.is_empty() && self.namespace.is_empty();
        for part in [&mut self.api_group, &mut self.resource, &mut self.namespace] {
            if part.is_empty() {
                "*".clone_into(part);
            }
        }
        if self.user.is_empty() && self.group.is_empty() {
            self.group = AUTHENTICATED.to_owned();
        }
        if everything {
            self.path = "*".to_owned();
        }
        self.known()
    }

    fn means(&self, user: &User) -> bool {
        let named = !self.user.is_empty() || !self.group.is_empty();
        named && (self.user.is_empty() || self.user == user.name) && (self.group.is_empty() || user.in_group(&self.group))
    }

    fn covers(&self, a: &Attributes) -> bool {
        let is = |wanted: &str, had: &str| wanted == "*" || wanted == had;
        if self.readonly && !matches!(a.verb.as_str(), "get" | "list" | "watch") {
            return false;
        }
        if a.is_resource {
            return is(&self.namespace, &a.namespace) && is(&self.resource, &a.resource) && is(&self.api_group, &a.group);
        }
        match self.path.strip_suffix('*') {
            Some(prefix) => a.path.starts_with(prefix),
            None => self.path == a.path,
        }
    }
}
