//! `semver()`: semantic versions (2.0.0), with normalisation of loose spellings on request.

use super::{Answer, Cost, Row, text};
use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::value::Value;
use semver::Version;
use std::cmp::Ordering;
use std::sync::Arc;

const Q: Cost = Cost::Fixed(1);

pub(super) const TABLE: &[Row] = &[
    Row { name: "semver", cost: Cost::Text(0, 1, false), run: semver, overloads: &[
        ("string_to_semver", "(string):kubernetes.Semver"), ("string_bool_to_semver", "(string,bool):kubernetes.Semver"),
    ] },
    Row { name: "isSemver", cost: Cost::Text(0, 1, false), run: is_semver, overloads: &[
        ("is_semver_string", "(string):bool"), ("is_semver_string_bool", "(string,bool):bool"),
    ] },
    Row { name: "isGreaterThan", cost: Q, run: is_greater, overloads: &[("semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver):bool")] },
    Row { name: "isLessThan", cost: Q, run: is_less, overloads: &[("semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver):bool")] },
    Row { name: "compareTo", cost: Q, run: compare_to, overloads: &[("semver_compare_to", "kubernetes.Semver.(kubernetes.Semver):int")] },
    Row { name: "major", cost: Q, run: major, overloads: &[("semver_major", "kubernetes.Semver.():int")] },
    Row { name: "minor", cost: Q, run: minor, overloads: &[("semver_minor", "kubernetes.Semver.():int")] },
    Row { name: "patch", cost: Q, run: patch, overloads: &[("semver_patch", "kubernetes.Semver.():int")] },
];

fn parse(args: &[Value]) -> Result<Result<Version, String>, EvalError> {
    let s = text(args, 0)?;
    let loose = matches!(args.get(1), Some(Value::Bool(true)));
    let fixed = if loose { normalize(s) } else { s.to_owned() };
    Ok(Version::parse(&fixed).map_err(|e| e.to_string()))
}

/// `v1.02` as `1.2.0`.
fn normalize(s: &str) -> String {
    let s = s.trim_start_matches('v');
    let end = s.find(['-', '+']).unwrap_or(s.len());
    let (core, rest) = s.split_at(end);
    let mut parts: Vec<String> = core.split('.').map(|p| {
        let short = p.trim_start_matches('0');
        if short.is_empty() && !p.is_empty() { "0".into() } else { short.to_owned() }
    }).collect();
    while parts.len() < 3 {
        parts.push("0".into());
    }
    format!("{}{rest}", parts.join("."))
}

fn of<'v>(value: &'v Value<'_>) -> Result<&'v Version, EvalError> {
    match value {
        Value::Opaque(Opaque::Semver(v)) => Ok(v),
        _ => Err(EvalError::overload()),
    }
}

fn semver<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let v = parse(args)?.map_err(EvalError::new)?;
    Ok(Value::Opaque(Opaque::Semver(Arc::new(v))))
}
fn is_semver<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(parse(args)?.is_ok()))
}
fn order(args: &[Value]) -> Result<Ordering, EvalError> {
    Ok(of(&args[0])?.cmp_precedence(of(&args[1])?))
}
fn is_greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(order(args)?.is_gt()))
}
fn is_less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(order(args)?.is_lt()))
}
fn compare_to<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(order(args)? as i64))
}
fn number<'a>(n: u64) -> Answer<'a> {
    i64::try_from(n).map(Value::Int).map_err(|_| EvalError::new("integer overflow"))
}
fn major<'a>(args: &[Value<'a>]) -> Answer<'a> {
    number(of(&args[0])?.major)
}
fn minor<'a>(args: &[Value<'a>]) -> Answer<'a> {
    number(of(&args[0])?.minor)
}
fn patch<'a>(args: &[Value<'a>]) -> Answer<'a> {
    number(of(&args[0])?.patch)
}
