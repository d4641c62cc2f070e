//! What a Go program writes of fields that have no value: `null` for a time or a list, `""`, `0`, a struct of such. The
//! types leave most of them out, and write `[]` for a list that nobody gave; the schema says what is always printed
//! (`emit: always`, and pointers that print `null`). One pass over the encoded text puts it in, before the text is stored.
//!
//! Objects that were stored before have it put in when they are read from the store: what is served is never looked at again.

use crate::object::{behind_string, type_of};
use kinds::{Kind as ObjectKind, Standing};
use schema::{Emit, Field, Kind, Special, Type};

/// The zero time of Go, which the types carry where they must have a time; it is printed as none.
const ZERO_TIME: &[u8] = b"\"0001-01-01T00:00:00Z\"";

/// Nesting of structs that are printed although nothing is set; the deepest in the API is far less.
const ZERO_DEPTH: u32 = 16;

/// The text of an object of that kind with all that is always printed; `None` where the kind has no schema. The text must
/// be JSON.
#[must_use]
pub fn print_unset(kind: ObjectKind, json: &[u8]) -> Option<Vec<u8>> {
    let ty = type_of(kind)?;
    let mut pass = Pass { json, at: 0, copied: 0, out: Vec::with_capacity(json.len() + json.len() / 8 + 64), nil_lists: forgets_empty(kind) };
    pass.space();
    if pass.peek() == b'{' {
        pass.object(ty);
    }
    pass.at = json.len();
    pass.flush();
    Some(pass.out)
}

/// Whether an empty list of the kind comes back as none: protobuf, in which kube-apiserver stores all but definitions of
/// custom resources, cannot tell the two apart. Reviews and the like are not stored.
fn forgets_empty(kind: ObjectKind) -> bool {
    kind != ObjectKind::CustomResourceDefinition && kind.info().standing != Standing::Virtual
}

struct Pass<'a> {
    json: &'a [u8],
    at: usize,
    /// What lies before this is in `out`.
    copied: usize,
    out: Vec<u8>,
    nil_lists: bool,
}

impl Pass<'_> {
    fn peek(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or_default()
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    fn flush(&mut self) {
        self.flush_to(self.at);
    }

    /// Copies what lies before a place and is not in `out` yet.
    fn flush_to(&mut self, to: usize) {
        self.out.extend_from_slice(&self.json[self.copied..to]);
        self.copied = to;
    }

    /// The members of an object, from its brace on; then those that are printed and have no value, in their own order
    /// wherever they stood: an object is written alike whether its types say nothing of a field or its zero.
    fn object(&mut self, ty: &'static Type) {
        if !ty.prints_unset() {
            return self.skip();
        }
        self.at += 1;
        let (mut seen, mut empty, mut dropped) = (0u64, true, false);
        loop {
            let before = self.at;
            if !self.member() {
                break;
            }
            if empty && dropped {
                self.flush_to(before);
                self.copied = self.at;
            }
            let found = ty.place(self.key());
            let Some((place, field)) = found else {
                self.skip();
                empty = false;
                continue;
            };
            if !field.always_printed() {
                self.field(field);
            } else if self.without_value(field, before) {
                dropped = true;
                continue;
            }
            seen |= 1 << place;
            empty = false;
        }
        for (place, field) in ty.json_fields().enumerate() {
            if seen & (1 << place) == 0 && field.always_printed() {
                self.flush();
                name(&mut self.out, field.json(), &mut empty);
                zero(&mut self.out, field, ZERO_DEPTH);
            }
        }
        self.at += 1;
    }

    /// Passes over a field that is printed always, which began with what parts it from the one before; whether it was left
    /// out because it has no value.
    fn without_value(&mut self, field: &'static Field, before: usize) -> bool {
        // The types cannot tell nothing from the zero of what must be there.
        let untold = field.emit() == Emit::Always || field.required();
        if let (true, Kind::Object, Some(ty), b'{') = (untold, field.kind(), plain(field), self.peek()) {
            // Where the first was left out, nothing parts the field from those before.
            self.flush_to(before.max(self.copied));
            let mark = self.out.len();
            self.flush();
            let from = self.out.len();
            self.object(ty);
            self.flush();
            let mut nothing = Vec::new();
            zeroes(&mut nothing, ty, ZERO_DEPTH);
            let without = self.out[from..] == nothing;
            if without {
                self.out.truncate(mark);
            }
            return without;
        }
        if !self.holds_nothing(field) {
            self.field(field);
            return false;
        }
        self.flush_to(before.max(self.copied));
        self.skip();
        self.copied = self.at;
        true
    }

    /// Goes to the next member or item of what is open; whether there is one.
    fn member(&mut self) -> bool {
        self.space();
        if self.peek() == b',' {
            self.at += 1;
            self.space();
        }
        !matches!(self.peek(), b'}' | b']' | 0)
    }

    /// The key as it stands between its quotes, which no key of a struct escapes; goes to the value.
    fn key(&mut self) -> &[u8] {
        let from = self.at + 1;
        self.string();
        let to = self.at - 1;
        self.space();
        self.at += 1;
        self.space();
        &self.json[from..to.max(from)]
    }

    fn field(&mut self, field: &'static Field) {
        match (field.kind(), self.peek(), plain(field).filter(|ty| ty.prints_unset())) {
            (Kind::List, b'[', Some(ty)) | (Kind::Map, b'{', Some(ty)) => self.items(ty, field.kind() == Kind::Map),
            (Kind::Object, b'{', Some(ty)) => self.object(ty),
            _ => self.skip(),
        }
    }

    fn items(&mut self, ty: &'static Type, keyed: bool) {
        self.at += 1;
        while self.member() {
            if keyed {
                self.key();
            }
            match self.peek() {
                b'{' => self.object(ty),
                _ => self.skip(),
            }
        }
        self.at += 1;
    }

    /// Whether the value that begins here is what an unset field looks like. It is no struct.
    fn holds_nothing(&self, field: &'static Field) -> bool {
        let rest = &self.json[self.at..];
        let is = |text: &[u8]| rest.starts_with(text) && matches!(rest.get(text.len()), None | Some(b',' | b'}' | b' ' | b'\n' | b'\t' | b'\r'));
        let inside = || rest[1..].iter().find(|b| !matches!(b, b' ' | b'\n' | b'\t' | b'\r'));
        match (field.kind(), rest.first()) {
            (Kind::List | Kind::Map, Some(b'[' | b'{')) => self.nil_lists && matches!(inside(), Some(b']' | b'}')),
            (Kind::Object, Some(b'"')) if field.ty().and_then(Type::special) == Some(Special::Time) => is(ZERO_TIME),
            _ => is(scalar_zero(field)) || (field.required() && field.emit() == Emit::Null && is(b"\"\"")),
        }
    }

    /// Passes over the value that begins here.
    fn skip(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\n' | b'\t' | b'\r' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => self.word(),
            }
            if depth == 0 || self.at >= self.json.len() {
                return;
            }
        }
    }

    /// Passes over a number or a literal; over one byte of what is neither.
    fn word(&mut self) {
        let rest = &self.json[self.at.min(self.json.len())..];
        let len = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.'));
        self.at = (self.at + len.unwrap_or(rest.len()).max(1)).min(self.json.len());
    }

    /// Passes over a string, from its first quote to behind its last.
    fn string(&mut self) {
        self.at = behind_string(self.json, self.at);
    }
}

fn name(out: &mut Vec<u8>, name: &str, first: &mut bool) {
    out.extend_from_slice(if std::mem::take(first) { b"\"" } else { b",\"" });
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// The type of a field whose value is printed field by field.
fn plain(field: &'static Field) -> Option<&'static Type> {
    field.ty().filter(|ty| ty.special().is_none())
}

/// What an unset field looks like.
fn zero(out: &mut Vec<u8>, field: &'static Field, depth: u32) {
    match plain(field) {
        Some(ty) if field.kind() == Kind::Object && field.emit() != Emit::Null => zeroes(out, ty, depth),
        _ => out.extend_from_slice(scalar_zero(field)),
    }
}

/// The same of one that is no struct.
fn scalar_zero(field: &'static Field) -> &'static [u8] {
    match (field.kind(), field.ty().and_then(Type::special)) {
        _ if field.emit() == Emit::Null => b"null",
        (Kind::String | Kind::Enum, _) => b"\"\"",
        (Kind::Int32 | Kind::Int64 | Kind::Double, _) => b"0",
        (Kind::Bool, _) => b"false",
        (Kind::Object, Some(Special::Quantity)) => b"\"0\"",
        (Kind::Object, Some(Special::Duration)) => b"\"0s\"",
        (Kind::Object, Some(Special::IntOrString)) => b"0",
        _ => b"null",
    }
}

fn zeroes(out: &mut Vec<u8>, ty: &'static Type, depth: u32) {
    out.push(b'{');
    let mut first = true;
    for field in ty.json_fields().filter(|f| depth > 0 && f.always_printed()) {
        name(out, field.json(), &mut first);
        zero(out, field, depth - 1);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::print_unset;
    use kinds::Kind;
    use serde_json::{Value, json};

    fn printed(kind: Kind, tree: &Value) -> Value {
        let text = print_unset(kind, tree.to_string().as_bytes()).expect("a kind");
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
    }

    #[test]
    fn conditions_print_their_times() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a\"}{"}, "spec": {"containers": [{"name": "c"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let seen = printed(Kind::Pod, &pod);
        assert_eq!(seen["status"]["conditions"][0], json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}));
        assert_eq!(seen["spec"]["containers"][0], json!({"name": "c", "resources": {}}));
        assert_eq!(seen["metadata"], pod["metadata"], "creationTimestamp is left out since v1.34");
        assert_eq!(printed(Kind::Pod, &seen), seen, "and nothing twice");
    }

    #[test]
    fn a_list_that_protobuf_forgets_is_null() {
        let role = json!({"kind": "Role", "metadata": {}, "rules": []});
        assert_eq!(printed(Kind::Role, &role)["rules"], Value::Null);
        let crd = json!({"kind": "CustomResourceDefinition", "metadata": {}, "status": {"conditions": []}});
        let crd = printed(Kind::CustomResourceDefinition, &crd);
        assert_eq!((&crd["status"]["conditions"], &crd["status"]["storedVersions"]), (&json!([]), &Value::Null));
        assert_eq!(crd["status"]["acceptedNames"], json!({"plural": "", "kind": ""}));
    }

    #[test]
    fn pointers_that_go_prints_are_null_where_they_are() {
        let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {}, "spec": {"dataSource": {"kind": "K", "name": "n"}}});
        let claim = printed(Kind::PersistentVolumeClaim, &claim);
        assert_eq!(claim["spec"]["dataSource"], json!({"kind": "K", "name": "n", "apiGroup": null}));
        assert_eq!(claim["spec"].get("dataSourceRef"), None);
    }

    #[test]
    fn nothing_and_the_zero_of_what_must_be_there_are_alike() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"selector": {}, "template": {}}});
        assert_eq!(printed(Kind::Deployment, &deployment)["spec"]["selector"], Value::Null);
        let given = json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {}}}});
        assert_eq!(printed(Kind::Deployment, &given)["spec"]["selector"], json!({"matchLabels": {}}));
    }

    #[test]
    fn a_zero_time_is_none_but_only_where_a_time_is() {
        let service = json!({"kind": "Service", "metadata": {"annotations": {"a": "0001-01-01T00:00:00Z"}},
            "status": {"conditions": [{"lastTransitionTime": "0001-01-01T00:00:00Z"}]}});
        let seen = printed(Kind::Service, &service);
        assert_eq!(seen["metadata"], service["metadata"]);
        assert_eq!(seen["status"]["conditions"][0]["lastTransitionTime"], Value::Null);
    }

    #[test]
    fn what_has_no_value_stands_last_wherever_it_stood() {
        let told = r#"{"source":{},"kind":"Event","reportingComponent":"","metadata":{"name":"e"},"involvedObject":{},"firstTimestamp":null}"#;
        let untold = r#"{"kind":"Event","metadata":{"name":"e"}}"#;
        let print = |text: &str| String::from_utf8(print_unset(Kind::Event, text.as_bytes()).expect("a kind")).expect("text");
        assert_eq!(print(told), print(untold));
        assert_eq!(print(&print(told)), print(told));
        let role = |text: &str| String::from_utf8(print_unset(Kind::Role, text.as_bytes()).expect("a kind")).expect("text");
        assert_eq!(role(r#"{ "rules" : [ ] , "metadata" : {} }"#), r#"{ "metadata":{},"rules":null}"#);
        assert_eq!(role(r#"{"metadata":{"name":"r"},"rules":[{"verbs":[]}]}"#), r#"{"metadata":{"name":"r"},"rules":[{"verbs":null}]}"#);
    }

    #[test]
    fn white_space_changes_nothing() {
        let text = "{ \"kind\" : \"Event\" ,\n \"metadata\": { } , \"involvedObject\" : { } , \"count\" : 1 , \"series\": null }";
        let seen: Value = serde_json::from_slice(&print_unset(Kind::Event, text.as_bytes()).expect("a kind")).expect("JSON");
        assert_eq!((&seen["count"], &seen["eventTime"], &seen["reportingInstance"]), (&json!(1), &Value::Null, &json!("")));
        assert_eq!(seen["source"], json!({}));
    }
}
