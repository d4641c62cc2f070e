//! What a Go program writes of fields that have no value: `null` for a time or a list, `""`, `0`, a struct of such. The
//! types leave most of them out, and write `[]` for a list that nobody gave; the schema says what is always printed
//! (`emit: always`, and pointers that print `null`). One pass over the encoded text puts it in, before the text is stored.
//!
//! Objects that were stored before have it put in when they are read from the store: what is served is never looked at again.

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
    let info = kind.info();
    let ty = schema::types().by_gvk(info.group, info.version, info.kind)?;
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
        self.out.extend_from_slice(&self.json[self.copied..self.at]);
        self.copied = self.at;
    }

    /// The members of an object, from its brace on; then those that are printed and were not there.
    fn object(&mut self, ty: &'static Type) {
        self.at += 1;
        let (mut seen, mut empty) = (0u64, true);
        while self.member() {
            empty = false;
            let key = self.key();
            match ty.place(key) {
                Some((place, field)) => {
                    seen |= 1 << place;
                    self.field(field);
                }
                None => self.skip(),
            }
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
        let special = field.ty().and_then(Type::special);
        let inner = field.ty().filter(|_| special.is_none());
        match (field.kind(), self.peek(), inner) {
            (Kind::List | Kind::Map, b'[' | b'{', _) if self.nil_lists && field.emit() == Emit::Always && self.holds_nothing() => {
                self.replace();
            }
            (Kind::List, b'[', Some(ty)) | (Kind::Map, b'{', Some(ty)) => self.items(ty, field.kind() == Kind::Map),
            (Kind::Object, b'{', Some(ty)) => self.object(ty),
            (Kind::Object, b'"', _) if matches!(special, Some(Special::Time)) && self.json[self.at..].starts_with(ZERO_TIME) => self.replace(),
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

    /// Whether the list or map that begins here is empty.
    fn holds_nothing(&self) -> bool {
        let inside = self.json[self.at + 1..].iter().find(|b| !matches!(b, b' ' | b'\n' | b'\t' | b'\r'));
        matches!(inside, Some(b']' | b'}'))
    }

    /// `null` for the value that begins here.
    fn replace(&mut self) {
        self.flush();
        self.skip();
        self.copied = self.at;
        self.out.extend_from_slice(b"null");
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
        self.at += 1;
        while let Some(b) = self.json.get(self.at) {
            match b {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = self.json.len();
    }
}

fn name(out: &mut Vec<u8>, name: &str, first: &mut bool) {
    out.extend_from_slice(if std::mem::take(first) { b"\"" } else { b",\"" });
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// What an unset field looks like.
fn zero(out: &mut Vec<u8>, field: &'static Field, depth: u32) {
    let text: &[u8] = match (field.kind(), field.ty()) {
        _ if field.emit() == Emit::Null => b"null",
        (Kind::String | Kind::Enum, _) => b"\"\"",
        (Kind::Int32 | Kind::Int64 | Kind::Double, _) => b"0",
        (Kind::Bool, _) => b"false",
        (Kind::Object, Some(ty)) => match ty.special() {
            Some(Special::Quantity) => b"\"0\"",
            Some(Special::Duration) => b"\"0s\"",
            Some(Special::IntOrString) => b"0",
            Some(_) => b"null",
            None => return zeroes(out, ty, depth),
        },
        _ => b"null",
    };
    out.extend_from_slice(text);
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
    fn a_zero_time_is_none_but_only_where_a_time_is() {
        let service = json!({"kind": "Service", "metadata": {"annotations": {"a": "0001-01-01T00:00:00Z"}},
            "status": {"conditions": [{"lastTransitionTime": "0001-01-01T00:00:00Z"}]}});
        let seen = printed(Kind::Service, &service);
        assert_eq!(seen["metadata"], service["metadata"]);
        assert_eq!(seen["status"]["conditions"][0]["lastTransitionTime"], Value::Null);
    }

    #[test]
    fn white_space_changes_nothing() {
        let text = "{ \"kind\" : \"Event\" ,\n \"metadata\": { } , \"involvedObject\" : { } , \"count\" : 1 , \"series\": null }";
        let seen: Value = serde_json::from_slice(&print_unset(Kind::Event, text.as_bytes()).expect("a kind")).expect("JSON");
        assert_eq!((&seen["count"], &seen["eventTime"], &seen["reportingInstance"]), (&json!(1), &Value::Null, &json!("")));
        assert_eq!(seen["source"], json!({}));
    }
}
