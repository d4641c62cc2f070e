//! Conversions between types, parts of times, and base64. CEL specification, "Type conversions".

use super::{Answer, Cost, Cost::Standard, Row, text};
use crate::error::EvalError;
use crate::time;
use crate::value::Value;
use jiff::Timestamp;
use std::sync::Arc;

macro_rules! getter {
    ($name:literal, $run:ident, $id:literal) => {
        Row { name: $name, cost: Standard, run: $run, overloads: &[
            (concat!("timestamp_to_", $id), "timestamp.():int"), (concat!("timestamp_to_", $id, "_with_tz"), "timestamp.(string):int"),
        ] }
    };
    ($name:literal, $run:ident, $id:literal, duration) => {
        Row { name: $name, cost: Standard, run: $run, overloads: &[
            (concat!("timestamp_to_", $id), "timestamp.():int"), (concat!("timestamp_to_", $id, "_with_tz"), "timestamp.(string):int"),
            (concat!("duration_to_", $id), "duration.():int"),
        ] }
    };
}

pub(super) const TABLE: &[Row] = &[
    Row { name: "int", cost: Standard, run: to_int, overloads: &[
        ("int64_to_int64", "(int):int"), ("double_to_int64", "(double):int"), ("duration_to_int64", "(duration):int"),
        ("string_to_int64", "(string):int"), ("timestamp_to_int64", "(timestamp):int"), ("uint64_to_int64", "(uint):int"),
    ] },
    Row { name: "uint", cost: Standard, run: to_uint, overloads: &[
        ("uint64_to_uint64", "(uint):uint"), ("double_to_uint64", "(double):uint"), ("int64_to_uint64", "(int):uint"),
        ("string_to_uint64", "(string):uint"),
    ] },
    Row { name: "double", cost: Standard, run: to_double, overloads: &[
        ("double_to_double", "(double):double"), ("int64_to_double", "(int):double"), ("string_to_double", "(string):double"),
        ("uint64_to_double", "(uint):double"),
    ] },
    Row { name: "string", cost: Standard, run: to_text, overloads: &[
        ("string_to_string", "(string):string"), ("bool_to_string", "(bool):string"), ("bytes_to_string", "(bytes):string"),
        ("double_to_string", "(double):string"), ("duration_to_string", "(duration):string"), ("int64_to_string", "(int):string"),
        ("timestamp_to_string", "(timestamp):string"), ("uint64_to_string", "(uint):string"), ("ip_to_string", "(net.IP):string"),
        ("cidr_to_string", "(net.CIDR):string"),
    ] },
    Row { name: "bytes", cost: Standard, run: to_bytes, overloads: &[("bytes_to_bytes", "(bytes):bytes"), ("string_to_bytes", "(string):bytes")] },
    Row { name: "bool", cost: Standard, run: to_bool, overloads: &[("bool_to_bool", "(bool):bool"), ("string_to_bool", "(string):bool")] },
    Row { name: "timestamp", cost: Standard, run: to_timestamp, overloads: &[
        ("timestamp_to_timestamp", "(timestamp):timestamp"), ("int64_to_timestamp", "(int):timestamp"),
        ("string_to_timestamp", "(string):timestamp"),
    ] },
    Row { name: "duration", cost: Standard, run: to_duration, overloads: &[
        ("duration_to_duration", "(duration):duration"), ("int64_to_duration", "(int):duration"), ("string_to_duration", "(string):duration"),
    ] },
    Row { name: "dyn", cost: Standard, run: same, overloads: &[("to_dyn", "(A):dyn")] },
    Row { name: "type", cost: Standard, run: kind, overloads: &[("type", "(A):type<A>")] },
    getter!("getFullYear", year, "year"),
    getter!("getMonth", month, "month"),
    getter!("getDayOfYear", day_of_year, "day_of_year"),
    getter!("getDate", date, "day_of_month_1_based"),
    getter!("getDayOfMonth", day_of_month, "day_of_month"),
    getter!("getDayOfWeek", day_of_week, "day_of_week"),
    getter!("getHours", hours, "hours", duration),
    getter!("getMinutes", minutes, "minutes", duration),
    getter!("getSeconds", seconds, "seconds", duration),
    getter!("getMilliseconds", milliseconds, "milliseconds", duration),
    Row { name: "base64.encode", cost: Cost::Text(0, 1, true), run: encode, overloads: &[("base64_encode_bytes", "(bytes):string")] },
    Row { name: "base64.decode", cost: Cost::Text(0, 1, true), run: decode, overloads: &[("base64_decode_string", "(string):bytes")] },
];

fn fail<'a>(what: String) -> Answer<'a> {
    Err(EvalError::new(what))
}

fn to_int<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(match &args[0] {
        Value::Int(n) => *n,
        Value::Uint(n) => i64::try_from(*n).map_err(|_| EvalError::new("integer overflow"))?,
        Value::Double(d) if *d > -9.223_372_036_854_775_8e18 && *d < 9.223_372_036_854_775_8e18 => *d as i64,
        Value::Double(_) => return fail("integer overflow".to_owned()),
        Value::Text(t) => match t.parse() {
            Ok(n) => n,
            Err(_) => return fail(format!("strconv.ParseInt: parsing {:?}: invalid syntax", &**t)),
        },
        Value::Timestamp(t) => t.as_second(),
        Value::Duration(d) => i64::try_from(d.as_nanos()).unwrap_or_default(),
        _ => return Err(EvalError::overload()),
    }))
}

fn to_uint<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let over = || EvalError::new("unsigned integer overflow");
    Ok(Value::Uint(match &args[0] {
        Value::Uint(n) => *n,
        Value::Int(n) => u64::try_from(*n).map_err(|_| over())?,
        Value::Double(d) if *d >= 0.0 && *d < 1.844_674_407_370_955_2e19 => *d as u64,
        Value::Double(_) => return Err(over()),
        Value::Text(t) => match t.parse() {
            Ok(n) => n,
            Err(_) => return fail(format!("strconv.ParseUint: parsing {:?}: invalid syntax", &**t)),
        },
        _ => return Err(EvalError::overload()),
    }))
}

fn to_double<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Double(match &args[0] {
        Value::Double(d) => *d,
        Value::Int(n) => *n as f64,
        Value::Uint(n) => *n as f64,
        Value::Text(t) => match t.parse() {
            Ok(n) => n,
            Err(_) => return fail(format!("strconv.ParseFloat: parsing {:?}: invalid syntax", &**t)),
        },
        _ => return Err(EvalError::overload()),
    }))
}

/// A float as Go's `strconv.FormatFloat(f, 'g', -1, 64)` writes it.
pub(crate) fn show_double(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let text = format!("{d:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) {
        return d.to_string();
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn to_text<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(match &args[0] {
        Value::Text(_) => args[0].clone(),
        Value::Bool(b) => Value::text(b.to_string()),
        Value::Int(n) => Value::text(n.to_string()),
        Value::Uint(n) => Value::text(n.to_string()),
        Value::Double(d) => Value::text(show_double(*d)),
        Value::Bytes(b) => match std::str::from_utf8(b) {
            Ok(s) => Value::text(s),
            Err(_) => return fail("invalid UTF-8 in bytes, cannot convert to string".to_owned()),
        },
        Value::Timestamp(t) => Value::text(t.to_string()),
        Value::Duration(d) => Value::text(time::show_duration(*d)),
        Value::Opaque(o) => Value::text(super::net::show(o).ok_or_else(EvalError::overload)?),
        _ => return Err(EvalError::overload()),
    })
}

fn to_bytes<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Text(t) => Ok(Value::Bytes(t.as_bytes().into())),
        b @ Value::Bytes(_) => Ok(b.clone()),
        _ => Err(EvalError::overload()),
    }
}

fn to_bool<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::Text(t) => match &**t {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            other => fail(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
        },
        _ => Err(EvalError::overload()),
    }
}

fn to_timestamp<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Timestamp(match &args[0] {
        Value::Timestamp(t) => *t,
        Value::Int(n) => Timestamp::from_second(*n).map_err(|_| EvalError::new("timestamp overflow"))?,
        Value::Text(t) => match time::parse_timestamp(t) {
            Some(t) => t,
            None => return fail(format!("parsing time {:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse", &**t)),
        },
        _ => return Err(EvalError::overload()),
    }))
}

fn to_duration<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Duration(match &args[0] {
        Value::Duration(d) => *d,
        Value::Int(n) => jiff::SignedDuration::from_nanos(*n),
        Value::Text(t) => match time::parse_duration(t) {
            Some(d) => d,
            None => return fail(format!("time: invalid duration {:?}", &**t)),
        },
        _ => return Err(EvalError::overload()),
    }))
}

fn same<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(args[0].clone())
}

fn kind<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Kind(args[0].kind()))
}

fn part<'a>(args: &[Value<'a>], getter: &str) -> Answer<'a> {
    match &args[0] {
        Value::Timestamp(t) => {
            let zone = if args.len() > 1 { text(args, 1)? } else { "" };
            time::part(*t, zone, getter).map(Value::Int).ok_or_else(|| EvalError::new(format!("unknown time zone {zone}")))
        }
        Value::Duration(d) => {
            let nanos = d.as_nanos();
            let unit: i128 = match getter {
                "getHours" => 3_600_000_000_000,
                "getMinutes" => 60_000_000_000,
                "getSeconds" => 1_000_000_000,
                _ => 1_000_000,
            };
            Ok(Value::Int((nanos / unit) as i64))
        }
        _ => Err(EvalError::overload()),
    }
}

macro_rules! parts {
    ($($run:ident $name:literal),*) => { $(fn $run<'a>(args: &[Value<'a>]) -> Answer<'a> { part(args, $name) })* };
}
parts!(year "getFullYear", month "getMonth", day_of_year "getDayOfYear", date "getDate", day_of_month "getDayOfMonth",
    day_of_week "getDayOfWeek", hours "getHours", minutes "getMinutes", seconds "getSeconds", milliseconds "getMilliseconds");

fn encode<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Bytes(b) => Ok(Value::text(crate::text::to_base64(b))),
        _ => Err(EvalError::overload()),
    }
}

fn decode<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let bytes: Arc<[u8]> = crate::text::from_base64(text(args, 0)?).ok_or_else(|| EvalError::new("illegal base64 data"))?.into();
    Ok(Value::Bytes(bytes))
}
