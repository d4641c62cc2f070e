//! `format.named("dns1123Label")` and `validate()`: the formats that names and values of Kubernetes have.

use super::{Answer, Cost, Row, regexes, text};
use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::value::Value;

const Q: Cost = Cost::Fixed(1);

macro_rules! named {
    ($name:literal, $run:ident) => {
        Row { name: concat!("format.", $name), cost: Q, run: $run, overloads: &[(concat!("format-", $name), "():kubernetes.NamedFormat")] }
    };
}

pub(super) const TABLE: &[Row] = &[
    Row { name: "format.named", cost: Q, run: named, overloads: &[("format-named", "(string):opt<kubernetes.NamedFormat>")] },
    Row { name: "validate", cost: Cost::Text(1, 1, false), run: validate, overloads: &[
        ("format-validate", "kubernetes.NamedFormat.(string):opt<list<string>>"),
    ] },
    named!("dns1123Label", label), named!("dns1123Subdomain", subdomain), named!("dns1035Label", old_label),
    named!("qualifiedName", qualified), named!("dns1123LabelPrefix", label_prefix), named!("dns1123SubdomainPrefix", subdomain_prefix),
    named!("dns1035LabelPrefix", old_label_prefix), named!("labelValue", label_value), named!("uri", uri), named!("uuid", uuid),
    named!("byte", byte), named!("date", date), named!("datetime", datetime),
];

const NAMES: &[&str] = &[
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix", "dns1123SubdomainPrefix",
    "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
];

macro_rules! runs {
    ($($run:ident $name:literal),*) => {
        $(fn $run<'a>(_: &[Value<'a>]) -> Answer<'a> { Ok(Value::Opaque(Opaque::Format($name))) })*
    };
}
runs!(label "dns1123Label", subdomain "dns1123Subdomain", old_label "dns1035Label", qualified "qualifiedName",
    label_prefix "dns1123LabelPrefix", subdomain_prefix "dns1123SubdomainPrefix", old_label_prefix "dns1035LabelPrefix",
    label_value "labelValue", uri "uri", uuid "uuid", byte "byte", date "date", datetime "datetime");

fn named<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let wanted = text(args, 0)?;
    let found = NAMES.iter().find(|n| **n == wanted);
    Ok(found.map_or(Value::Optional(None), |n| Value::some(Value::Opaque(Opaque::Format(n)))))
}

fn validate<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Value::Opaque(Opaque::Format(name)) = &args[0] else { return Err(EvalError::overload()) };
    let wrong = complaints(name, text(args, 1)?)?;
    if wrong.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(wrong.into_iter().map(Value::text).collect())))
}

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_SAYS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
    alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_SAYS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
    end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const OLD_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const OLD_LABEL_SAYS: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and \
    end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_SAYS: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
    character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const VALUE_SAYS: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const UUID: &str = "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}";

fn shaped(s: &str, pattern: &str, max: usize, says: &str) -> Result<Vec<String>, EvalError> {
    let mut wrong = Vec::new();
    if s.len() > max {
        wrong.push(format!("must be no more than {max} characters"));
    }
    if !regexes::compile(&format!("^(?:{pattern})$"))?.is_match(s) {
        wrong.push(says.to_owned());
    }
    Ok(wrong)
}

/// A prefix may end with a dash, as what follows makes it whole.
fn whole(s: &str) -> String {
    match s.strip_suffix('-') {
        Some(front) if s.len() > 1 => format!("{front}a"),
        _ => s.to_owned(),
    }
}

fn complaints(name: &str, s: &str) -> Result<Vec<String>, EvalError> {
    let only = |fine: bool, says: &str| if fine { Vec::new() } else { vec![says.to_owned()] };
    Ok(match name {
        "dns1123Label" => shaped(s, LABEL, 63, LABEL_SAYS)?,
        "dns1123LabelPrefix" => shaped(&whole(s), LABEL, 63, LABEL_SAYS)?,
        "dns1123Subdomain" => shaped(s, SUBDOMAIN, 253, SUBDOMAIN_SAYS)?,
        "dns1123SubdomainPrefix" => shaped(&whole(s), SUBDOMAIN, 253, SUBDOMAIN_SAYS)?,
        "dns1035Label" => shaped(s, OLD_LABEL, 63, OLD_LABEL_SAYS)?,
        "dns1035LabelPrefix" => shaped(&whole(s), OLD_LABEL, 63, OLD_LABEL_SAYS)?,
        "labelValue" => shaped(s, VALUE, 63, VALUE_SAYS)?,
        "qualifiedName" => qualified_name(s)?,
        "uri" => only(super::url::parse(s).is_some(), "invalid URI for request"),
        "uuid" => only(regexes::compile(&format!("^(?:{UUID})$"))?.is_match(s), "does not match the UUID format"),
        "byte" => only(crate::text::from_base64(s).is_some(), "invalid base64"),
        "date" => only(s.parse::<jiff::civil::Date>().is_ok() && s.len() == 10, "invalid date"),
        _ => only(crate::time::parse_timestamp(s).is_some(), "invalid datetime"),
    })
}

fn qualified_name(s: &str) -> Result<Vec<String>, EvalError> {
    let parts: Vec<&str> = s.split('/').collect();
    let mut wrong = Vec::new();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(shaped(prefix, SUBDOMAIN, 253, SUBDOMAIN_SAYS)?.into_iter().map(|w| format!("prefix part {w}")));
            }
            name
        }
        _ => {
            return Ok(vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                NAME_SAYS.trim_start_matches("name part ")
            )]);
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push("name part must be no more than 63 characters".to_owned());
    }
    if !regexes::compile(&format!("^(?:{NAME})$"))?.is_match(name) {
        wrong.push(NAME_SAYS.to_owned());
    }
    Ok(wrong)
}
