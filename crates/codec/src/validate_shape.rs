//! Values of a wrong JSON type, worded as Go's `encoding/json` words them (`json: cannot unmarshal string into Go struct
//! field DeploymentSpec.spec.replicas of type int32`): clients see this text in the Status of a refused request.

use std::sync::OnceLock;

use kinds::quantity::Quantity;
use schema::{Field, Kind, Special, Type};

use crate::reader::{Peek, Reader};

/// Where in the Go structs a pass is: the fields from the root, each with the struct that holds it.
#[derive(Default)]
pub(crate) struct Place {
    fields: Vec<(&'static Type, &'static str)>,
}

impl Place {
    pub(crate) fn enter(&mut self, holder: &'static Type, field: &'static str) {
        self.fields.push((holder, field));
    }

    pub(crate) fn leave(&mut self) {
        self.fields.pop();
    }

    pub(crate) fn holder(&self) -> Option<&'static Type> {
        self.fields.last().map(|(holder, _)| *holder)
    }

    pub(crate) fn message(&self, word: &str, type_name: &str) -> String {
        let Some(holder) = self.holder() else {
            return format!("json: cannot unmarshal {word} into Go value of type {type_name}");
        };
        let mut path = Vec::new();
        for (ty, field) in &self.fields {
            embedded(ty, field, &mut path);
            path.push(field);
        }
        format!("json: cannot unmarshal {word} into Go struct field {}.{} of type {type_name}", holder.short_name(), path.join("."))
    }
}

/// The embedded structs through which a struct comes to have a field; Go names them in its paths.
fn embedded(ty: &'static Type, field: &str, path: &mut Vec<&'static str>) -> bool {
    if ty.fields().iter().any(|f| !f.inline() && f.json() == field) {
        return true;
    }
    for inner in ty.fields().iter().filter(|f| f.inline()).filter_map(Field::ty) {
        path.push(inner.short_name());
        if embedded(inner, field, path) {
            return true;
        }
        path.pop();
    }
    false
}

/// The Go name of a struct: its package's last element and its own name.
pub(crate) fn type_name(ty: &Type) -> String {
    let mut parts = ty.name().rsplit('.');
    let (short, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{package}.{short}")
}

/// Names of types that the schema does not tell: a struct without its `io.k8s.`, a field, and the Go type of its values
/// (or of the whole map); sorted, separated by tabs. Learnt from what kube-apiserver says to values of a wrong type.
static NAMED: &str = include_str!("go_types.txt");

/// The name of such a type.
fn named(holder: Option<&Type>, field: &Field, map: bool) -> Option<&'static str> {
    static ROWS: OnceLock<Vec<(&str, &str, &str)>> = OnceLock::new();
    let row = |line: &'static str| {
        let mut cells = line.split('\t');
        Some((cells.next()?, cells.next()?, cells.next()?))
    };
    let rows = ROWS.get_or_init(|| NAMED.lines().filter_map(row).collect());
    let (holder, name) = (holder?.name().strip_prefix("io.k8s.")?, field.json());
    rows.iter().find(|(h, n, go)| *h == holder && *n == name && go.starts_with("map[") == map).map(|(_, _, go)| *go)
}

/// The Go name of a field's type.
pub(crate) fn field_type(holder: Option<&Type>, field: &Field) -> String {
    if field.kind() == Kind::Map
        && let Some(name) = named(holder, field, true)
    {
        return name.to_owned();
    }
    let item = match (field.item(), field.ty()) {
        (Kind::Object, Some(ty)) => type_name(ty),
        (Kind::Bytes, _) => "[]uint8".to_owned(),
        (Kind::Any | Kind::Object, None) => "interface {}".to_owned(),
        _ => scalar_type(holder, field).to_owned(),
    };
    match field.kind() {
        Kind::List => format!("[]{item}"),
        Kind::Map if item == "resource.Quantity" => "v1.ResourceList".to_owned(),
        Kind::Map => format!("map[string]{item}"),
        _ => item,
    }
}

/// The Go name of a scalar (or of the scalars in a list or map).
pub(crate) fn scalar_type(holder: Option<&Type>, field: &Field) -> &'static str {
    named(holder, field, false).unwrap_or_else(|| basic(field.item()))
}

fn basic(kind: Kind) -> &'static str {
    match kind {
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Bool => "bool",
        Kind::Double => "float64",
        _ => "string",
    }
}

/// What is wrong with a value of a special form.
pub(crate) enum Problem {
    /// The whole text of the error.
    Text(String),
    /// A value of this sort where that Go type was wanted.
    Mismatch(String, &'static str),
}

/// What is wrong with the text of a time, duration, quantity or int-or-string.
pub(crate) fn special_problem(special: Special, kind: Peek, text: &[u8]) -> Option<Problem> {
    let wrong = |name| Some(Problem::Mismatch(kind.word().to_owned(), name));
    let told = |problem: Option<String>| problem.map(Problem::Text);
    match (special, kind) {
        (Special::IntOrString, Peek::String) => None,
        (Special::IntOrString, Peek::Number) => {
            let text = String::from_utf8_lossy(text);
            let bad = text.parse::<i32>().is_err();
            bad.then(|| Problem::Mismatch(format!("number {text}"), "int32"))
        }
        (Special::IntOrString, _) => wrong("int32"),
        (Special::Quantity, Peek::String | Peek::Number) => {
            let text = plain(kind, text);
            told(Quantity::parse(&text).is_err().then(|| QUANTITY_FORMAT.to_owned()))
        }
        (Special::Quantity, _) => told(Some(QUANTITY_FORMAT.to_owned())),
        (Special::Duration, Peek::String) => {
            let text = plain(kind, text);
            told(crate::duration::parse(&text).is_none().then(|| format!("time: invalid duration {text:?}")))
        }
        (Special::Time, Peek::String) => told(time_problem(&plain(kind, text), "2006-01-02T15:04:05Z07:00")),
        (Special::MicroTime, Peek::String) => told(time_problem(&plain(kind, text), "2006-01-02T15:04:05.000000Z07:00")),
        _ => wrong("string"),
    }
}

const QUANTITY_FORMAT: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn plain(kind: Peek, text: &[u8]) -> String {
    if kind == Peek::String {
        return Reader::new(text).string().map(std::borrow::Cow::into_owned).unwrap_or_default();
    }
    String::from_utf8_lossy(text).into_owned()
}

fn time_problem(text: &str, layout: &str) -> Option<String> {
    let rest = unread_time(text.as_bytes(), layout.contains(MICROS));
    let (at, element) = rest?;
    let rest = String::from_utf8_lossy(&text.as_bytes()[at..]).into_owned();
    if element.is_empty() {
        return Some(format!("parsing time {text:?}: extra text: {rest:?}"));
    }
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"))
}

/// The fraction of a second in Go's layout of times in microseconds.
const MICROS: &str = ".000000";

/// Where an RFC 3339 text stops to be one, and the element of Go's layout that was expected there.
fn unread_time(text: &[u8], micros: bool) -> Option<(usize, &'static str)> {
    let elements: [(usize, &str); 11] =
        [(4, "2006"), (0, "-"), (2, "01"), (0, "-"), (2, "02"), (0, "T"), (2, "15"), (0, ":"), (2, "04"), (0, ":"), (2, "05")];
    let mut at = 0;
    for (digits, element) in elements {
        let length = digits.max(1);
        let part = text.get(at..at + length);
        let fits = part.is_some_and(|p| if digits == 0 { p == element.as_bytes() } else { p.iter().all(u8::is_ascii_digit) });
        if !fits {
            return Some((at.min(text.len()), element));
        }
        at += length;
    }
    if micros {
        // Neither more nor fewer digits than the layout has.
        let fraction = text.get(at..at + MICROS.len());
        if !fraction.is_some_and(|f| f[0] == b'.' && f[1..].iter().all(u8::is_ascii_digit)) {
            return Some((at, MICROS));
        }
        at += MICROS.len();
    } else if text.get(at) == Some(&b'.') {
        at += 1;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
    }
    let zone = match text.get(at) {
        Some(b'Z') => 1,
        Some(b'+' | b'-') if text.get(at..at + 6).is_some_and(|z| z[3] == b':' && [1, 2, 4, 5].iter().all(|&i| z[i].is_ascii_digit())) => 6,
        _ => return Some((at, "Z07:00")),
    };
    (at + zone < text.len()).then_some((at + zone, ""))
}

/// What is wrong with a base64 text, in Go's words.
pub(crate) fn base64_problem(text: &str) -> Option<String> {
    let clean: Vec<(usize, u8)> = text.bytes().enumerate().filter(|(_, c)| !matches!(c, b'\n' | b'\r')).collect();
    let body = clean.iter().take_while(|(_, c)| *c != b'=').count();
    let padding = clean.len() - body;
    let bad = clean.iter().take(body).find(|(_, c)| !(c.is_ascii_alphanumeric() || *c == b'+' || *c == b'/'));
    let at = match bad {
        Some((at, _)) => *at,
        None if clean.len().is_multiple_of(4) && padding <= 2 && clean[body..].iter().all(|(_, c)| *c == b'=') && body % 4 != 1 => return None,
        None if padding > 0 => clean[body].0,
        None => body - body % 4,
    };
    Some(format!("illegal base64 data at input byte {at}"))
}
