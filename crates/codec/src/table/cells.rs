//! Reading an object's JSON for its cells, and the texts that many kinds share.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::human;

/// An object (or a part of one) with readers that never fail: what is absent reads as empty.
#[derive(Clone, Copy)]
pub struct View<'a>(pub &'a Value);

const NOTHING: &[Value] = &[];

impl<'a> View<'a> {
    /// The value at a JSON pointer.
    pub fn at(self, pointer: &str) -> View<'a> {
        View(self.0.pointer(pointer).unwrap_or(&Value::Null))
    }

    /// Whether something stands at the pointer.
    pub fn has(self, pointer: &str) -> bool {
        !self.at(pointer).0.is_null()
    }

    /// The string at the pointer, or an empty one.
    pub fn text(self, pointer: &str) -> &'a str {
        self.at(pointer).0.as_str().unwrap_or_default()
    }

    /// The string at the pointer, or `other` if there is none or it is empty.
    pub fn text_or(self, pointer: &str, other: &'a str) -> &'a str {
        match self.text(pointer) {
            "" => other,
            text => text,
        }
    }

    /// The integer at the pointer, or 0.
    pub fn int(self, pointer: &str) -> i64 {
        self.at(pointer).0.as_i64().unwrap_or_default()
    }

    /// The boolean at the pointer, or false.
    pub fn flag(self, pointer: &str) -> bool {
        self.at(pointer).0.as_bool().unwrap_or_default()
    }

    /// The elements of the list at the pointer.
    pub fn list(self, pointer: &str) -> impl DoubleEndedIterator<Item = View<'a>> + ExactSizeIterator {
        self.at(pointer).0.as_array().map_or(NOTHING, Vec::as_slice).iter().map(View)
    }

    /// The entries of the map at the pointer, sorted by key.
    pub fn entries(self, pointer: &str) -> impl Iterator<Item = (&'a str, View<'a>)> {
        self.at(pointer).0.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), View(value)))
    }

    /// How many elements or entries stand at the pointer.
    pub fn count(self, pointer: &str) -> usize {
        match self.at(pointer).0 {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// A scalar as text: strings bare, numbers and booleans as written.
    pub fn show(self) -> String {
        match self.0 {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// `metadata.name`.
    pub fn name(self) -> Value {
        json!(self.text("/metadata/name"))
    }

    /// How long ago the object was created.
    pub fn age(self, now: Timestamp) -> Value {
        json!(human::since(self.text("/metadata/creationTimestamp"), now))
    }

    /// The strings of the list at the pointer.
    pub fn texts(self, pointer: &str) -> Vec<&'a str> {
        self.list(pointer).filter_map(|view| view.0.as_str()).collect()
    }

    /// The strings of the list at the pointer joined, or `none`.
    pub fn joined(self, pointer: &str, separator: &str, none: &str) -> String {
        or(self.texts(pointer).join(separator), none)
    }

    /// The condition of that type in the list at the pointer.
    pub fn condition(self, pointer: &str, kind: &str) -> Option<View<'a>> {
        self.list(pointer).find(|c| c.text("/type") == kind)
    }

    /// Whether that condition is True.
    pub fn condition_is_true(self, pointer: &str, kind: &str) -> bool {
        self.condition(pointer, kind).is_some_and(|c| c.text("/status") == "True")
    }
}

/// The text, or `none` if it is empty.
pub(super) fn or(text: String, none: &str) -> String {
    if text.is_empty() { none.to_owned() } else { text }
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn labels(map: View<'_>) -> String {
    or(map.entries("").map(|(key, value)| format!("{key}={}", value.show())).collect::<Vec<_>>().join(","), "<none>")
}

/// A label selector in its string form, or `<none>`.
pub(super) fn selector(selector: View<'_>) -> String {
    let mut terms: Vec<(String, String)> = selector.entries("/matchLabels").map(|(key, value)| (key.to_owned(), format!("{key}={}", value.show()))).collect();
    for expression in selector.list("/matchExpressions") {
        let key = expression.text("/key");
        let mut values = expression.texts("/values");
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression.text("/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        terms.push((key.to_owned(), text));
    }
    terms.sort_by(|a, b| a.0.cmp(&b.0));
    or(terms.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(","), "<none>")
}

/// The names and the images of a pod spec's containers, as two cells.
pub(super) fn containers(spec: View<'_>) -> [Value; 2] {
    let column = |field: &str| json!(spec.list("/containers").map(|c| c.text(field)).collect::<Vec<_>>().join(","));
    [column("/name"), column("/image")]
}

/// The first `max` items joined by commas, and how many more there are.
pub(super) fn shortened(items: &[String], max: usize, more: &str) -> String {
    if items.len() > max {
        let rest = items.len() - max;
        return format!("{} {more}", items[..max].join(",")).replace("{}", &rest.to_string());
    }
    items.join(",")
}

/// The addresses of a load balancer's status.
pub(super) fn load_balancer(status: View<'_>) -> String {
    let mut addresses: Vec<&str> = status.list("/loadBalancer/ingress").map(|i| i.text_or("/ip", i.text("/hostname"))).filter(|a| !a.is_empty()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.join(",")
}
