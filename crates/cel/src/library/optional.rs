//! Optional values: `optional.of`, `orValue`, `hasValue`; selection (`a.?b`) and indexing stand with the operators. cel-go's
//! "Optional types". Also the key escaping of JSON patches.

use super::{Answer, Cost, Cost::Standard, Row, text};
use crate::error::EvalError;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row { name: "optional.of", cost: Standard, run: of, overloads: &[("optional_of", "(A):opt<A>")] },
    Row { name: "optional.ofNonZeroValue", cost: Standard, run: of_non_zero, overloads: &[("optional_ofNonZeroValue", "(A):opt<A>")] },
    Row { name: "optional.none", cost: Standard, run: none, overloads: &[("optional_none", "():opt<A>")] },
    Row { name: "hasValue", cost: Standard, run: has_value, overloads: &[("optional_hasValue", "opt<A>.():bool")] },
    Row { name: "value", cost: Standard, run: value, overloads: &[("optional_value", "opt<A>.():A")] },
    Row { name: "or", cost: Standard, run: or, overloads: &[("optional_or_optional", "opt<A>.(opt<A>):opt<A>")] },
    Row { name: "orValue", cost: Standard, run: or_value, overloads: &[("optional_orValue_value", "opt<A>.(A):A")] },
    Row { name: "jsonpatch.escapeKey", cost: Cost::Text(0, 1, true), run: escape_key, overloads: &[("jsonpatch_escapeKey_string", "(string):string")] },
];

fn of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::some(args[0].clone()))
}

fn of_non_zero<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let zero = match &args[0] {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Optional(None) => true,
        Value::Double(d) => *d == 0.0,
        Value::Text(t) => t.is_empty(),
        Value::Bytes(b) => b.is_empty(),
        Value::List(l) => l.is_empty(),
        Value::Map(m) => m.is_empty(),
        Value::Duration(d) => d.is_zero(),
        _ => false,
    };
    Ok(if zero { Value::Optional(None) } else { Value::some(args[0].clone()) })
}

fn none<'a>(_: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Optional(None))
}

fn has_value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Optional(v) => Ok(Value::Bool(v.is_some())),
        _ => Err(EvalError::overload()),
    }
}

fn value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Optional(Some(v)) => Ok((**v).clone()),
        Value::Optional(None) => Err(EvalError::new("optional.none() dereference")),
        _ => Err(EvalError::overload()),
    }
}

fn or<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Optional(None) => Ok(args[1].clone()),
        some @ Value::Optional(_) => Ok(some.clone()),
        _ => Err(EvalError::overload()),
    }
}

fn or_value<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Optional(None) => Ok(args[1].clone()),
        Value::Optional(Some(v)) => Ok((**v).clone()),
        _ => Err(EvalError::overload()),
    }
}

fn escape_key<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(text(args, 0)?.replace('~', "~0").replace('/', "~1")))
}
