//! Operators: arithmetic with overflow checked, equality, order, membership, indexing, size. CEL specification, "Standard
//! definitions"; cross-type numeric comparison.

use super::{Answer, Cost::Standard, Row};
use crate::error::EvalError;
use crate::value::{List, Map, Value};
use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! ordered {
    ($name:literal, $run:ident, $p:literal) => {
        Row { name: $name, cost: Standard, run: $run, overloads: &[
            (concat!($p, "_bool"), "(bool,bool):bool"), (concat!($p, "_int64"), "(int,int):bool"),
            (concat!($p, "_int64_double"), "(int,double):bool"), (concat!($p, "_int64_uint64"), "(int,uint):bool"),
            (concat!($p, "_uint64"), "(uint,uint):bool"), (concat!($p, "_uint64_double"), "(uint,double):bool"),
            (concat!($p, "_uint64_int64"), "(uint,int):bool"), (concat!($p, "_double"), "(double,double):bool"),
            (concat!($p, "_double_int64"), "(double,int):bool"), (concat!($p, "_double_uint64"), "(double,uint):bool"),
            (concat!($p, "_string"), "(string,string):bool"), (concat!($p, "_bytes"), "(bytes,bytes):bool"),
            (concat!($p, "_timestamp"), "(timestamp,timestamp):bool"), (concat!($p, "_duration"), "(duration,duration):bool"),
        ] }
    };
}

pub(super) const TABLE: &[Row] = &[
    Row { name: "_&&_", cost: Standard, run: never, overloads: &[("logical_and", "(bool,bool):bool")] },
    Row { name: "_||_", cost: Standard, run: never, overloads: &[("logical_or", "(bool,bool):bool")] },
    Row { name: "_?_:_", cost: Standard, run: never, overloads: &[("conditional", "(bool,A,A):A")] },
    Row { name: "!_", cost: Standard, run: not, overloads: &[("logical_not", "(bool):bool")] },
    Row { name: "@not_strictly_false", cost: Standard, run: never, overloads: &[("not_strictly_false", "(bool):bool")] },
    Row { name: "_==_", cost: Standard, run: equals, overloads: &[("equals", "(A,A):bool")] },
    Row { name: "_!=_", cost: Standard, run: differs, overloads: &[("not_equals", "(A,A):bool")] },
    ordered!("_<_", less, "less"),
    ordered!("_<=_", less_equals, "less_equals"),
    ordered!("_>_", greater, "greater"),
    ordered!("_>=_", greater_equals, "greater_equals"),
    Row { name: "_+_", cost: Standard, run: add, overloads: &[
        ("add_bytes", "(bytes,bytes):bytes"), ("add_double", "(double,double):double"),
        ("add_duration_duration", "(duration,duration):duration"), ("add_duration_timestamp", "(duration,timestamp):timestamp"),
        ("add_timestamp_duration", "(timestamp,duration):timestamp"), ("add_int64", "(int,int):int"),
        ("add_list", "(list<A>,list<A>):list<A>"), ("add_string", "(string,string):string"), ("add_uint64", "(uint,uint):uint"),
    ] },
    Row { name: "_-_", cost: Standard, run: subtract, overloads: &[
        ("subtract_double", "(double,double):double"), ("subtract_duration_duration", "(duration,duration):duration"),
        ("subtract_int64", "(int,int):int"), ("subtract_timestamp_duration", "(timestamp,duration):timestamp"),
        ("subtract_timestamp_timestamp", "(timestamp,timestamp):duration"), ("subtract_uint64", "(uint,uint):uint"),
    ] },
    Row { name: "_*_", cost: Standard, run: multiply, overloads: &[
        ("multiply_double", "(double,double):double"), ("multiply_int64", "(int,int):int"), ("multiply_uint64", "(uint,uint):uint"),
    ] },
    Row { name: "_/_", cost: Standard, run: divide, overloads: &[
        ("divide_double", "(double,double):double"), ("divide_int64", "(int,int):int"), ("divide_uint64", "(uint,uint):uint"),
    ] },
    Row { name: "_%_", cost: Standard, run: modulo, overloads: &[("modulo_int64", "(int,int):int"), ("modulo_uint64", "(uint,uint):uint")] },
    Row { name: "-_", cost: Standard, run: negate, overloads: &[("negate_double", "(double):double"), ("negate_int64", "(int):int")] },
    Row { name: "@in", cost: Standard, run: within, overloads: &[("in_list", "(A,list<A>):bool"), ("in_map", "(A,map<A,B>):bool")] },
    Row { name: "_[_]", cost: Standard, run: index, overloads: &[
        ("index_list", "(list<A>,int):A"), ("index_map", "(map<A,B>,A):B"),
        ("optional_list_index_int", "(opt<list<A>>,int):opt<A>"), ("optional_map_index_value", "(opt<map<A,B>>,A):opt<B>"),
    ] },
    Row { name: "_[?_]", cost: Standard, run: optional_index, overloads: &[
        ("list_optindex_optional_int", "(list<A>,int):opt<A>"), ("optional_list_optindex_optional_int", "(opt<list<A>>,int):opt<A>"),
        ("map_optindex_optional_value", "(map<A,B>,A):opt<B>"), ("optional_map_optindex_optional_value", "(opt<map<A,B>>,A):opt<B>"),
    ] },
    Row { name: "size", cost: Standard, run: size, overloads: &[
        ("size_string", "(string):int"), ("size_bytes", "(bytes):int"), ("size_list", "(list<A>):int"), ("size_map", "(map<A,B>):int"),
        ("string_size", "string.():int"), ("bytes_size", "bytes.():int"), ("list_size", "list<A>.():int"), ("map_size", "map<A,B>.():int"),
    ] },
    Row { name: "cel.@mapInsert", cost: Standard, run: map_insert, overloads: &[
        ("@mapInsert_map_key_value", "(map<A,B>,A,B):map<A,B>"), ("@mapInsert_map_map", "(map<A,B>,map<A,B>):map<A,B>"),
    ] },
];

/// What the evaluator does itself.
fn never<'a>(_: &[Value<'a>]) -> Answer<'a> {
    Err(EvalError::overload())
}

fn not<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Bool(b)] => Ok(Value::Bool(!b)),
        _ => Err(EvalError::overload()),
    }
}

fn equals<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(args[0].equals(&args[1])))
}

fn differs<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(!args[0].equals(&args[1])))
}

fn order<'a>(args: &[Value<'a>], fits: fn(Ordering) -> bool) -> Answer<'a> {
    if let [Value::Double(a), _] | [_, Value::Double(a)] = args
        && a.is_nan()
    {
        return Ok(Value::Bool(false));
    }
    args[0].order(&args[1]).map(|o| Value::Bool(fits(o))).ok_or_else(EvalError::overload)
}

fn less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    order(args, Ordering::is_lt)
}
fn less_equals<'a>(args: &[Value<'a>]) -> Answer<'a> {
    order(args, Ordering::is_le)
}
fn greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    order(args, Ordering::is_gt)
}
fn greater_equals<'a>(args: &[Value<'a>]) -> Answer<'a> {
    order(args, Ordering::is_ge)
}

const INT: &str = "integer overflow";
const UINT: &str = "unsigned integer overflow";
const TIME: &str = "timestamp overflow";
const SPAN: &str = "duration overflow";

fn over<T>(value: Option<T>, what: &str) -> Result<T, EvalError> {
    value.ok_or_else(|| EvalError::new(what))
}

fn later(t: Timestamp, d: SignedDuration) -> Result<Timestamp, EvalError> {
    over(t.checked_add(d).ok(), TIME)
}

fn add<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => Value::Int(over(a.checked_add(*b), INT)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(over(a.checked_add(*b), UINT)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::Text(a), Value::Text(b)) => Value::text(format!("{}{}", &**a, &**b)),
        (Value::Bytes(a), Value::Bytes(b)) => Value::Bytes(a.iter().chain(b.iter()).copied().collect()),
        (Value::List(a), Value::List(b)) => a.join(b),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(over(a.checked_add(*b), SPAN)?),
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => Value::Timestamp(later(*t, *d)?),
        _ => return Err(EvalError::overload()),
    })
}

fn subtract<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => Value::Int(over(a.checked_sub(*b), INT)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(over(a.checked_sub(*b), UINT)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a - b),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(over(a.checked_sub(*b), SPAN)?),
        (Value::Timestamp(a), Value::Timestamp(b)) => Value::Duration(a.duration_since(*b)),
        (Value::Timestamp(t), Value::Duration(d)) => Value::Timestamp(later(*t, over(d.checked_neg(), SPAN)?)?),
        _ => return Err(EvalError::overload()),
    })
}

fn multiply<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match (&args[0], &args[1]) {
        (Value::Int(a), Value::Int(b)) => Value::Int(over(a.checked_mul(*b), INT)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(over(a.checked_mul(*b), UINT)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a * b),
        _ => return Err(EvalError::overload()),
    })
}

fn divide<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => return Err(EvalError::new("division by zero")),
        (Value::Int(a), Value::Int(b)) => Value::Int(over(a.checked_div(*b), INT)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a / b),
        (Value::Double(a), Value::Double(b)) => Value::Double(a / b),
        _ => return Err(EvalError::overload()),
    })
}

fn modulo<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match (&args[0], &args[1]) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => return Err(EvalError::new("modulus by zero")),
        (Value::Int(a), Value::Int(b)) => Value::Int(over(a.checked_rem(*b), INT)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a % b),
        _ => return Err(EvalError::overload()),
    })
}

fn negate<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match &args[0] {
        Value::Int(a) => Value::Int(over(a.checked_neg(), INT)?),
        Value::Double(a) => Value::Double(-a),
        _ => return Err(EvalError::overload()),
    })
}

fn within<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[1] {
        Value::List(list) => Ok(Value::Bool(list.iter().any(|v| v.equals(&args[0])))),
        Value::Map(map) => Ok(Value::Bool(map.get(&args[0]).is_some())),
        _ => Err(EvalError::overload()),
    }
}

/// A key as an error names it.
pub(crate) fn show_key(key: &Value) -> String {
    match key {
        Value::Text(t) => t.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Double(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        other => other.kind().to_string(),
    }
}

/// What an index leads to; `None` when there is nothing there.
pub(crate) fn look_up<'a>(of: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
    match (of, key) {
        (Value::List(list), _) => {
            let at = match key {
                Value::Int(n) => usize::try_from(*n).ok(),
                Value::Uint(n) => usize::try_from(*n).ok(),
                Value::Double(d) if d.fract() == 0.0 && *d >= 0.0 => Some(*d as usize),
                Value::Double(_) => None,
                _ => return Err(EvalError::new(format!("unsupported index type '{}' in list", key.kind()))),
            };
            at.and_then(|i| list.get(i)).transpose()
        }
        (Value::Map(map), _) => map.get(key).transpose(),
        (Value::Struct(s), Value::Text(t)) => Ok(s.fields.iter().find(|(k, _)| **k == **t).map(|(_, v)| v.clone())),
        _ => Err(EvalError::overload()),
    }
}

fn index<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => Ok(Value::Optional(look_up(inner, &args[1])?.map(Arc::new))),
        of => look_up(of, &args[1])?.ok_or_else(|| missing(of, &args[1])),
    }
}

/// The error of an index that leads nowhere.
pub(crate) fn missing(of: &Value, key: &Value) -> EvalError {
    match of {
        Value::List(_) => EvalError::new(format!("index out of bounds: {}", show_key(key))),
        _ => EvalError::new(format!("no such key: {}", show_key(key))),
    }
}

fn optional_index<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let of = match &args[0] {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => &**inner,
        other => other,
    };
    Ok(Value::Optional(look_up(of, &args[1])?.map(Arc::new)))
}

fn size<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let n = match &args[0] {
        Value::Text(t) => t.chars().count(),
        Value::Bytes(b) => b.len(),
        Value::List(l) => l.len(),
        Value::Map(m) => m.len(),
        _ => return Err(EvalError::overload()),
    };
    Ok(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
}

/// A map as one of its own.
pub(crate) fn owned<'a>(map: &Map<'a>) -> Arc<BTreeMap<crate::value::Key, (Value<'a>, Value<'a>)>> {
    match map {
        Map::Own(own) => Arc::clone(own),
        seen @ Map::Seen(..) => Arc::new(seen.iter().filter_map(|(k, v)| Some((k.key()?, (k, v)))).collect()),
    }
}

fn map_insert<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Value::Map(map) = &args[0] else { return Err(EvalError::overload()) };
    let mut own = owned(map);
    let into = Arc::make_mut(&mut own);
    let mut put = |k: &Value<'a>, v: &Value<'a>| {
        let key = k.key().ok_or_else(|| EvalError::new("unsupported key type"))?;
        match into.insert(key, (k.clone(), v.clone())) {
            Some(_) => Err(EvalError::new(format!("insert failed: key {} already exists", show_key(k)))),
            None => Ok(()),
        }
    };
    match args {
        [_, k, v] => put(k, v)?,
        [_, Value::Map(more)] => more.iter().try_for_each(|(k, v)| put(&k, &v))?,
        _ => return Err(EvalError::overload()),
    }
    Ok(Value::Map(Map::Own(own)))
}

/// Appends to an accumulated list in place.
pub(crate) fn append<'a>(list: List<'a>, more: &List<'a>) -> Value<'a> {
    match list {
        List::Own(mut own) => {
            Arc::make_mut(&mut own).extend(more.iter());
            Value::List(List::Own(own))
        }
        seen @ List::Seen(..) => seen.join(more),
    }
}
