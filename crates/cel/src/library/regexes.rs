//! `matches`, `find`, `findAll`. Go's dialect and Rust's are the same family (RE2): no look-around, no back-references.

use super::{Answer, Cost, Row, int, text};
use crate::error::EvalError;
use crate::value::Value;
use regex::Regex;
use std::collections::HashMap;
use std::sync::Mutex;

pub(super) const TABLE: &[Row] = &[
    Row { name: "matches", cost: Cost::Standard, run: matches, overloads: &[
        ("matches", "(string,string):bool"), ("matches_string", "string.(string):bool"),
    ] },
    Row { name: "find", cost: Cost::Regex, run: find, overloads: &[("string_find_string", "string.(string):string")] },
    Row { name: "findAll", cost: Cost::Regex, run: find_all, overloads: &[
        ("string_find_all_string", "string.(string):list<string>"), ("string_find_all_string_int", "string.(string,int):list<string>"),
    ] },
];

/// Compiled patterns kept; when there are more, all are let go.
const KEPT_MAX: usize = 256;
/// Bytes of a compiled pattern at most.
const COMPILED_MAX_BYTES: usize = 1 << 20;

static KEPT: Mutex<Option<HashMap<String, Regex>>> = Mutex::new(None);

/// Compiles a pattern, or takes it from those that were.
pub(crate) fn compile(pattern: &str) -> Result<Regex, EvalError> {
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(r) = kept.get(pattern) {
        return Ok(r.clone());
    }
    let made = regex::RegexBuilder::new(pattern).size_limit(COMPILED_MAX_BYTES).build();
    let made = made.map_err(|_| EvalError::new(format!("error parsing regexp: invalid pattern: `{pattern}`")))?;
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), made.clone());
    Ok(made)
}

fn matches<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(compile(text(args, 1)?)?.is_match(text(args, 0)?)))
}

fn find<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let found = compile(text(args, 1)?)?;
    Ok(Value::text(found.find(text(args, 0)?).map_or("", |m| m.as_str())))
}

fn find_all<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let limit = if args.len() > 2 { int(args, 2)? } else { -1 };
    let pattern = compile(text(args, 1)?)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Value::list(pattern.find_iter(text(args, 0)?).take(limit).map(|m| Value::text(m.as_str())).collect()))
}
