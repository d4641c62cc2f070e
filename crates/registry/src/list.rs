//! Lists: selectors, pages, and the exact meaning of resourceVersion. Docs: "Kubernetes API Concepts".

use crate::history::Past;
use crate::registry::{Registry, rules_of};
use base64::alphabet::URL_SAFE;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use base64::Engine as _;
use cache::{Entry, Marks, Table};
use kinds::selector::FieldTerm;
use kinds::{ApiError, Kind, Object, ObjectKey, Resource, Revision, Selector};
use rules::customs::Definition;
use serde_json::Value;
use std::sync::Arc;

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionMatch {
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

/// The version of continue tokens: kube-apiserver's, which can go on with our tokens on the same etcd, and we with its.
const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// As Go reads tokens: bits that are over at the end may be anything.
const TOKENS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where the next page goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continue {
    /// The revision of the first page; zero: whatever is newest.
    pub revision: Revision,
    /// The last key that was looked at, below the namespace that is listed, as it is written.
    start: String,
}

impl Continue {
    /// Behind a key, in a list of `namespace` (empty: of all).
    #[must_use]
    pub fn behind(revision: Revision, key: &ObjectKey, namespace: &str) -> Self {
        let start = if namespace.is_empty() { key.to_string() } else { key.name.clone() };
        Self { revision, start }
    }

    /// The key behind which a list goes on.
    #[must_use]
    pub fn after(&self, namespaced: bool, namespace: &str) -> ObjectKey {
        match self.start.split_once('/') {
            Some((space, name)) if namespaced && namespace.is_empty() => ObjectKey::new(space, name),
            _ if namespaced => ObjectKey::new(namespace, self.start.clone()),
            _ => ObjectKey::cluster(self.start.clone()),
        }
    }

    /// The opaque token.
    #[must_use]
    pub fn encode(&self) -> String {
        // Before zero is no revision: it means the newest. The zero byte makes the key the first one behind it.
        let rv = if self.revision == Revision::ZERO { -1 } else { i64::try_from(self.revision.0).unwrap_or(i64::MAX) };
        let start = Value::from(format!("{}\0", self.start));
        TOKENS.encode(format!("{{\"v\":\"{TOKEN_VERSION}\",\"rv\":{rv},\"start\":{start}}}"))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 400 for what is none.
    pub fn decode(token: &str) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let text = TOKENS.decode(token).map_err(|e| bad(undecoded(&e)))?;
        let read: Value = serde_json::from_slice(&text).map_err(|e| bad(unread(&text, &e)))?;
        let word = |name: &str| read[name].as_str().unwrap_or_default();
        let (version, rv, start) = (word("v"), read["rv"].as_i64().unwrap_or(0), word("start"));
        if version != TOKEN_VERSION {
            return Err(bad(format!("server does not recognize this encoded version {version}")));
        }
        if rv == 0 {
            return Err(bad(format!("incorrect encoded start resourceVersion (version {TOKEN_VERSION})")));
        }
        if start.is_empty() {
            return Err(bad(format!("encoded start key empty (version {TOKEN_VERSION})")));
        }
        if start.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(bad(start.to_owned()));
        }
        let start = start.strip_suffix('\0').unwrap_or(start).to_owned();
        Ok(Self { revision: Revision(u64::try_from(rv).unwrap_or(0)), start })
    }
}

/// As Go says that something is no base64.
fn undecoded(e: &base64::DecodeError) -> String {
    let at = match e {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        // A group of four with one character alone: Go tells where the group begins.
        base64::DecodeError::InvalidLength(n) => *n - *n % 4,
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

/// As Go says that something is no JSON, where it is wrong from the beginning.
fn unread(text: &[u8], e: &serde_json::Error) -> String {
    match text.trim_ascii_start().first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(b) if *b != b'{' => format!("invalid character '{}' looking for beginning of value", quoted(*b)),
        Some(_) => e.to_string(),
    }
}

/// A byte as Go's JSON decoder quotes it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0..0x20 | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    }
}

/// What a list asks for.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Empty: all namespaces.
    pub namespace: String,
    pub labels: Selector,
    pub fields: Vec<FieldTerm>,
    /// 0: no limit.
    pub limit: usize,
    pub page: Option<Continue>,
    pub revision: Option<Revision>,
    pub version_match: VersionMatch,
    /// The version whose fields `fields` names, of custom resources; empty: the stored one.
    pub version: String,
}

/// What a list found.
#[derive(Clone, Debug)]
pub struct Listing {
    pub entries: Vec<Arc<Entry>>,
    pub revision: Revision,
    pub next: Option<Continue>,
    /// How many more there are, where that is known.
    pub remaining: Option<usize>,
}

/// Whether an object is what the selectors mean.
#[derive(Clone, Debug)]
pub struct Filter {
    namespace: String,
    labels: Selector,
    fields: Vec<FieldTerm>,
    resource: Resource,
    /// Fields that the definition of a custom resource lets selectors name, in the version asked for.
    selectable: Vec<String>,
    /// Whether `selectable` can be read only from objects that a conversion webhook has turned: [`Filter::matches`] lets
    /// those terms pass, [`Filter::matches_spoken`] judges them.
    deferred: bool,
}

impl Filter {
    /// Checks the field names against what the resource can select by.
    ///
    /// # Errors
    /// 400 `field label not supported: …`.
    pub fn new(resource: &Resource, query: &ListQuery, definition: Option<&Definition>) -> Result<Self, ApiError> {
        let known = if query.fields.is_empty() { Vec::new() } else { known_fields(resource) };
        let selectable = definition.map(|d| d.version(&query.version).selectable.clone()).unwrap_or_default();
        let knows = |field: &String| known.contains(&field.as_str()) || selectable.contains(field);
        if let Some(term) = query.fields.iter().find(|t| !knows(&t.field)) {
            return Err(ApiError::bad_request(unknown_field(resource, &term.field)));
        }
        Ok(Self {
            namespace: query.namespace.clone(),
            labels: query.labels.clone(),
            fields: query.fields.clone(),
            resource: resource.clone(),
            deferred: definition.is_some_and(|d| d.by_webhook) && query.fields.iter().any(|t| selectable.contains(&t.field)),
            selectable,
        })
    }

    /// Whether the entry passes.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        (self.namespace.is_empty() || entry.key.namespace == self.namespace) && self.selects(entry)
    }

    /// The same for an entry that is known to lie in the namespace: a look at the names of ten thousand costs a millisecond.
    pub(crate) fn selects(&self, entry: &Entry) -> bool {
        (self.labels.is_everything() || self.labels.matches(entry.meta().labels.as_ref()))
            && self.fields.iter().all(|t| (self.deferred && self.selectable.contains(&t.field)) || self.term(t, entry))
    }

    /// Whether terms are left for [`Filter::matches_spoken`].
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// Whether an entry that passed, turned into the version asked for, passes the terms that were left.
    #[must_use]
    pub fn matches_spoken(&self, entry: &Entry) -> bool {
        !self.deferred || self.fields.iter().all(|t| self.term(t, entry))
    }

    fn term(&self, term: &FieldTerm, entry: &Entry) -> bool {
        let value = match term.field.as_str() {
            "metadata.name" => entry.key.name.clone(),
            "metadata.namespace" => entry.key.namespace.clone(),
            other if self.selectable.iter().any(|f| f == other) => match entry.object() {
                Object::Dynamic(d) => rules::customs::field_at(d, other),
                _ => String::new(),
            },
            other => {
                let fields = (rules_of(&self.resource).fields)(entry.object());
                fields.into_iter().find(|(f, _)| *f == other).map(|(_, v)| v).unwrap_or_default()
            }
        };
        (value == term.value) == term.equal
    }

    /// The one name that a `metadata.name=x` selector leaves.
    fn only_name(&self) -> Option<&str> {
        self.fields.iter().find(|t| t.equal && t.field == "metadata.name").map(|t| t.value.as_str())
    }
}

/// How kinds say that they do not know a field: those that have more than name and namespace each their way.
fn unknown_field(resource: &Resource, field: &str) -> String {
    use Kind::*;
    match resource.builtin() {
        None | Some(Event | Namespace | Node | Pod | ReplicationController | Secret | Service | CertificateSigningRequest) => {
            format!("field label not supported: {field}")
        }
        Some(Job) => format!("field label {field:?} not supported for Job"),
        Some(ResourceSlice) => format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {field}"),
        Some(_) => format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
    }
}

fn known_fields(resource: &Resource) -> Vec<&'static str> {
    let empty = match resource {
        Resource::Builtin(kind) => Object::empty(*kind),
        Resource::Custom(_) => return vec!["metadata.name", "metadata.namespace"],
    };
    (rules_of(resource).fields)(&empty).into_iter().map(|(f, _)| f).collect()
}

impl Registry {
    /// Lists a resource as the image shows it (callers who need "now" call [`Registry::catch_up`] first).
    ///
    /// # Errors
    /// 400 for contradictory options, 410 `Expired` for revisions that the image has forgotten ([`Registry::list_at`] asks
    /// the store), 504 for future ones.
    pub fn list(&self, resource: &Resource, query: &ListQuery) -> Result<Listing, ApiError> {
        match self.past_for(resource, query)? {
            Past::Known(table, revision) => self.list_table(resource, query, table.as_ref(), revision),
            Past::Stored(_) => Err(query.page.as_ref().map_or_else(too_old, expired_page)),
        }
    }

    /// Lists what a table shows.
    pub(crate) fn list_table(
        &self,
        resource: &Resource,
        query: &ListQuery,
        table: Option<&Table>,
        revision: Revision,
    ) -> Result<Listing, ApiError> {
        let definition = self.definition(&self.image.snapshot(), resource);
        let filter = Filter::new(resource, query, definition.as_deref())?;
        let all = |entries| Ok(Listing { entries, revision, next: None, remaining: None });
        let Some(table) = table else { return all(Vec::new()) };
        if let (Some(name), false) = (filter.only_name(), query.namespace.is_empty() && resource.namespaced()) {
            let entry = table.get(&ObjectKey::new(query.namespace.clone(), name)).filter(|e| filter.matches(e));
            return all(entry.cloned().into_iter().collect());
        }
        let after = query.page.as_ref().map(|p| p.after(resource.namespaced(), &query.namespace));
        let mut found = table.marked(&query.namespace, after.as_ref(), Marks::demanded(&query.labels)).filter(|e| filter.selects(e));
        if query.limit == 0 {
            return all(found.cloned().collect());
        }
        let entries: Vec<_> = found.by_ref().take(query.limit).cloned().collect();
        let more = found.count();
        let next = entries.last().filter(|_| more > 0).map(|e| Continue::behind(revision, &e.key, &query.namespace));
        let exact = query.labels.is_everything() && query.fields.is_empty();
        let remaining = next.as_ref().filter(|_| exact).map(|_| more);
        Ok(Listing { entries, revision, next, remaining })
    }
}

/// 410 for a revision that was forgotten.
pub(crate) fn too_old() -> ApiError {
    ApiError::expired("The resourceVersion for the provided list is too old.")
}

/// 504 for a revision that has not happened.
pub(crate) fn future(asked: Revision, current: Revision) -> ApiError {
    let mut e = ApiError::timeout(format!("Too large resource version: {asked}, current: {current}"));
    let cause = kinds::error::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    e.details = Some(Box::new(kinds::error::Details {
        causes: vec![cause],
        retry_after_s: Some(1),
        ..kinds::error::Details::default()
    }));
    e
}

/// 410 for a page whose revision was forgotten, with the token that goes on without it.
pub(crate) fn expired_page(page: &Continue) -> ApiError {
    // Revision 0 goes on with whatever is newest then.
    let fresh = Continue { revision: Revision::ZERO, ..page.clone() };
    let mut e = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    e.resume = Some(fresh.encode());
    e
}
