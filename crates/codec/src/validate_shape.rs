//! Values of a wrong JSON type, worded as Go's `encoding/json` words them (`json: cannot unmarshal string into Go struct
//! field DeploymentSpec.spec.replicas of type int32`): clients see this text in the Status of a refused request.

use kinds::quantity::Quantity;
use schema::{Field, Kind, Special, Type};

use crate::reader::{Peek, Reader, SyntaxError};

/// The first value in `json` whose type does not fit `ty`, in Go's words.
///
/// # Errors
/// Text that is not JSON.
pub fn check(json: &[u8], ty: &'static Type) -> Result<Option<String>, SyntaxError> {
    crate::strict::check(json, Some(ty)).map(|found| found.shape)
}

/// Where in the Go structs a pass is: the struct that holds the current field, and the JSON names from the root.
#[derive(Default)]
pub(crate) struct Place {
    holder: Option<&'static Type>,
    fields: Vec<&'static str>,
}

impl Place {
    pub(crate) fn enter(&mut self, holder: &'static Type, field: &'static str) -> Option<&'static Type> {
        self.fields.push(field);
        self.holder.replace(holder)
    }

    pub(crate) fn leave(&mut self, outer: Option<&'static Type>) {
        self.fields.pop();
        self.holder = outer;
    }

    pub(crate) fn holder(&self) -> Option<&'static Type> {
        self.holder
    }

    pub(crate) fn message(&self, word: &str, type_name: &str) -> String {
        match self.holder {
            Some(holder) => format!("json: cannot unmarshal {word} into Go struct field {}.{} of type {type_name}", holder.short_name(), self.fields.join(".")),
            None => format!("json: cannot unmarshal {word} into Go value of type {type_name}"),
        }
    }
}

/// The Go name of a struct: its package's last element and its own name.
pub(crate) fn type_name(ty: &Type) -> String {
    let mut parts = ty.name().rsplit('.');
    let (short, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{package}.{short}")
}

/// The Go name of a field's type.
pub(crate) fn field_type(field: &Field) -> String {
    let item = match (field.item(), field.ty()) {
        (Kind::Object, Some(ty)) => type_name(ty),
        (Kind::Bytes, _) => "[]uint8".to_owned(),
        (Kind::Any | Kind::Object, None) => "interface {}".to_owned(),
        (kind, _) => basic(kind).to_owned(),
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
    let name = holder.map(Type::short_name).unwrap_or_default();
    match (name, field.json()) {
        ("ObjectMeta" | "OwnerReference" | "ObjectReference", "uid") => "types.UID",
        ("PodSpec", "restartPolicy") => "v1.RestartPolicy",
        ("PodSpec", "dnsPolicy") => "v1.DNSPolicy",
        ("PodSpec" | "PriorityClass", "preemptionPolicy") => "v1.PreemptionPolicy",
        ("Container" | "EphemeralContainer", "imagePullPolicy") => "v1.PullPolicy",
        ("Container" | "EphemeralContainer", "terminationMessagePolicy") => "v1.TerminationMessagePolicy",
        ("ContainerPort" | "ServicePort" | "EndpointPort" | "NetworkPolicyPort", "protocol") => "v1.Protocol",
        ("ServiceSpec", "type") => "v1.ServiceType",
        ("ServiceSpec", "sessionAffinity") => "v1.ServiceAffinity",
        ("ServiceSpec", "externalTrafficPolicy") => "v1.ServiceExternalTrafficPolicy",
        ("ServiceSpec", "internalTrafficPolicy") => "v1.ServiceInternalTrafficPolicy",
        ("Secret", "type") => "v1.SecretType",
        ("DeploymentStrategy", "type") => "v1.DeploymentStrategyType",
        ("CronJobSpec", "concurrencyPolicy") => "v1.ConcurrencyPolicy",
        ("HTTPGetAction", "scheme") => "v1.URIScheme",
        ("Toleration", "operator") => "v1.TolerationOperator",
        ("Toleration" | "Taint", "effect") => "v1.TaintEffect",
        ("LabelSelectorRequirement", "operator") => "v1.LabelSelectorOperator",
        ("NodeSelectorRequirement", "operator") => "v1.NodeSelectorOperator",
        ("PersistentVolumeClaimSpec" | "PersistentVolumeSpec", "accessModes") => "v1.PersistentVolumeAccessMode",
        ("HTTPIngressPath", "pathType") => "v1.PathType",
        _ => basic(field.item()),
    }
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

/// What is wrong with the text of a time, duration, quantity or int-or-string.
pub(crate) fn special_problem(special: Special, kind: Peek, text: &[u8]) -> Option<String> {
    let wrong = |name: &str| Some(format!("json: cannot unmarshal {} into Go value of type {name}", kind.word()));
    match (special, kind) {
        (Special::IntOrString, Peek::String) => None,
        (Special::IntOrString, Peek::Number) => {
            let text = String::from_utf8_lossy(text);
            let bad = text.parse::<i32>().is_err();
            bad.then(|| format!("json: cannot unmarshal number {text} into Go value of type int32"))
        }
        (Special::IntOrString, _) => wrong("int32"),
        (Special::Quantity, Peek::String | Peek::Number) => {
            let text = plain(kind, text);
            Quantity::parse(&text).is_err().then(|| QUANTITY_FORMAT.to_owned())
        }
        (Special::Quantity, _) => Some(QUANTITY_FORMAT.to_owned()),
        (Special::Duration, Peek::String) => {
            let text = plain(kind, text);
            crate::duration::parse(&text).is_none().then(|| format!("time: invalid duration {text:?}"))
        }
        (Special::Time, Peek::String) => time_problem(&plain(kind, text), "2006-01-02T15:04:05Z07:00"),
        (Special::MicroTime, Peek::String) => time_problem(&plain(kind, text), "2006-01-02T15:04:05.000000Z07:00"),
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
    let rest = unread_time(text.as_bytes());
    let (at, element) = rest?;
    let rest = String::from_utf8_lossy(&text.as_bytes()[at..]).into_owned();
    if element.is_empty() {
        return Some(format!("parsing time {text:?}: extra text: {rest:?}"));
    }
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"))
}

/// Where an RFC 3339 text stops to be one, and the element of Go's layout that was expected there.
fn unread_time(text: &[u8]) -> Option<(usize, &'static str)> {
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
    if text.get(at) == Some(&b'.') {
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
