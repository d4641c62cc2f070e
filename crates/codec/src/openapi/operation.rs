//! One operation of a path, its parameters and its answers.

use super::definition::reference;
use serde_json::{Map, Value, json};

/// What clients can read objects in.
pub(super) const MEDIA: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What clients can read watchable lists in.
pub(super) const MEDIA_LIST: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
/// What clients can read custom resources in.
pub(super) const MEDIA_CUSTOM: &[&str] = &["application/json", "application/yaml"];
/// The forms of a patch.
pub(super) const MEDIA_PATCH: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// The forms of a patch of custom resources.
pub(super) const MEDIA_PATCH_CUSTOM: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
/// Whatever there is.
pub(super) const MEDIA_ANY: &[&str] = &["*/*"];

/// The type of patches.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
/// The type of deletion bodies.
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
/// The type of plain outcomes.
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// Parameters of lists and watches.
pub(super) const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
];
/// Parameters of writes.
pub(super) const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
/// Parameters of patches.
pub(super) const PATCHING: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
/// Parameters of deletions.
pub(super) const DELETE: &[&str] = &[
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
/// Parameters of the deletion of a collection.
pub(super) const DELETE_COLLECTION: &[&str] = &[
    "continue",
    "dryRun",
    "fieldSelector",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "labelSelector",
    "limit",
    "orphanDependents",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
];

/// Query parameters with their types and what they are for.
const QUERY: &[(&str, &str, &str)] = &[
    ("allowWatchBookmarks", "boolean", "Asks a watch for BOOKMARK events, which carry only a resource version."),
    ("continue", "string", "The token of the previous answer: continues a limited list where that one ended."),
    ("dryRun", "string", "Nothing is stored when present. The only value is All: every stage of the request is run."),
    ("fieldManager", "string", "Who makes the change, at most 128 printable characters; required when applying."),
    ("fieldSelector", "string", "Selects objects by the values of their fields."),
    ("fieldValidation", "string", "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict."),
    ("force", "boolean", "Takes over fields that other managers own when applying; not for other patches."),
    ("gracePeriodSeconds", "integer", "Seconds until the object is deleted; zero is at once. Defaults to the kind's own."),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Deletes an object that cannot be read from the store any more, without its finalizers and preconditions."),
    ("labelSelector", "string", "Selects objects by their labels."),
    ("limit", "integer", "At most so many objects are answered; the rest is had by `continue`."),
    ("orphanDependents", "boolean", "Deprecated, see propagationPolicy: whether dependents stay."),
    ("pretty", "string", "Indents the answer when 'true'."),
    ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
    ("resourceVersion", "string", "How fresh the answer must be, or where a watch begins."),
    ("resourceVersionMatch", "string", "How resourceVersion applies to a list: Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "Begins a watch with the objects there are, closed by a bookmark."),
    ("shardSelector", "string", "Selects objects by ranges of a hash (alpha)."),
    ("timeoutSeconds", "integer", "Ends the call after so many seconds."),
    ("watch", "boolean", "Streams changes instead of answering a list."),
];

/// The query parameter of that name.
pub(super) fn query(name: &str) -> Value {
    let (_, kind, text) = QUERY.iter().find(|q| q.0 == name).copied().unwrap_or((name, "string", ""));
    query_of(name, kind, text)
}

/// A query parameter.
pub(super) fn query_of(name: &str, kind: &str, text: &str) -> Value {
    let mut tree = json!({ "in": "query", "name": name, "schema": { "type": kind, "uniqueItems": true } });
    if !text.is_empty() {
        tree["description"] = text.into();
    }
    tree
}

/// A parameter that stands in the path.
pub(super) fn in_path(name: &str, text: &str) -> Value {
    json!({
        "description": text, "in": "path", "name": name, "required": true,
        "schema": { "type": "string", "uniqueItems": true },
    })
}

/// An operation before it is written.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) tag: String,
    /// `x-kubernetes-action` and the group, version and kind.
    pub(super) action: Option<(&'static str, [String; 3])>,
    pub(super) parameters: Vec<Value>,
    /// Type, media types, and whether it must be there.
    pub(super) body: Option<(String, &'static [&'static str], bool)>,
    /// Codes with their words.
    pub(super) answers: &'static [(&'static str, &'static str)],
    pub(super) schema: Value,
    pub(super) media: &'static [&'static str],
}

/// The answer of reads.
pub(super) const OK: &[(&str, &str)] = &[("200", "OK")];
/// The answers of updates and patches.
pub(super) const OK_CREATED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created")];
/// The answers of creations.
pub(super) const OK_CREATED_ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created"), ("202", "Accepted")];
/// The answers of deletions.
pub(super) const OK_ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("202", "Accepted")];

impl Operation {
    fn tree(mut self, shared: &[Value]) -> Value {
        let mut map = Map::new();
        map.insert("description".into(), self.text.into());
        map.insert("operationId".into(), self.id.into());
        map.insert("tags".into(), json!([self.tag]));
        let mut responses = Map::new();
        for (code, words) in self.answers {
            let content: Map<String, Value> = self.media.iter().map(|m| ((*m).to_owned(), json!({ "schema": self.schema }))).collect();
            responses.insert((*code).to_owned(), json!({ "description": words, "content": content }));
        }
        responses.insert("401".into(), json!({ "description": "Unauthorized" }));
        map.insert("responses".into(), responses.into());
        self.parameters.retain(|p| !shared.contains(p));
        if !self.parameters.is_empty() {
            map.insert("parameters".into(), self.parameters.into());
        }
        if let Some((ty, media, required)) = self.body {
            let content: Map<String, Value> = media.iter().map(|m| ((*m).to_owned(), json!({ "schema": reference(&ty) }))).collect();
            let mut body = json!({ "content": content });
            if required {
                body["required"] = true.into();
            }
            map.insert("requestBody".into(), body);
        }
        if let Some((action, [group, version, kind])) = self.action {
            map.insert("x-kubernetes-action".into(), action.into());
            let gvk = json!({ "group": group, "kind": kind, "version": version });
            map.insert("x-kubernetes-group-version-kind".into(), gvk);
        }
        map.into()
    }
}

/// A path with its operations by method; parameters that all of them have stand on the path.
pub(super) fn path_item(mut operations: Vec<(&'static str, Operation)>) -> Value {
    for (_, o) in &mut operations {
        o.parameters.sort_by(|a, b| order(a).cmp(&order(b)));
    }
    let first = operations.first().map(|(_, o)| o.parameters.clone()).unwrap_or_default();
    let shared: Vec<Value> =
        first.into_iter().filter(|p| operations.iter().all(|(_, o)| o.parameters.contains(p))).collect();
    let mut map = Map::new();
    for (method, operation) in operations {
        map.insert(method.to_owned(), operation.tree(&shared));
    }
    if !shared.is_empty() {
        map.insert("parameters".into(), shared.into());
    }
    map.into()
}

fn order(parameter: &Value) -> (&str, &str) {
    (parameter["name"].as_str().unwrap_or_default(), parameter["in"].as_str().unwrap_or_default())
}
