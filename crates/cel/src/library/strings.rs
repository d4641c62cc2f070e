//! Functions of texts: the language's own and cel-go's strings extension (version 2).

use super::{Answer, Cost, Cost::Standard, Row, int, text};
use crate::error::EvalError;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row { name: "contains", cost: Standard, run: contains, overloads: &[("contains_string", "string.(string):bool")] },
    Row { name: "startsWith", cost: Standard, run: starts_with, overloads: &[("starts_with_string", "string.(string):bool")] },
    Row { name: "endsWith", cost: Standard, run: ends_with, overloads: &[("ends_with_string", "string.(string):bool")] },
    Row { name: "charAt", cost: Cost::Fixed(1), run: char_at, overloads: &[("string_char_at_int", "string.(int):string")] },
    Row { name: "indexOf", cost: Cost::Text(0, 1, false), run: index_of, overloads: &[
        ("string_index_of_string", "string.(string):int"), ("string_index_of_string_int", "string.(string,int):int"),
    ] },
    Row { name: "lastIndexOf", cost: Cost::Text(0, 1, false), run: last_index_of, overloads: &[
        ("string_last_index_of_string", "string.(string):int"), ("string_last_index_of_string_int", "string.(string,int):int"),
    ] },
    Row { name: "lowerAscii", cost: Cost::Text(0, 1, true), run: lower, overloads: &[("string_lower_ascii", "string.():string")] },
    Row { name: "upperAscii", cost: Cost::Text(0, 1, true), run: upper, overloads: &[("string_upper_ascii", "string.():string")] },
    Row { name: "trim", cost: Cost::Text(0, 1, true), run: trim, overloads: &[("string_trim", "string.():string")] },
    Row { name: "substring", cost: Cost::Text(0, 1, true), run: substring, overloads: &[
        ("string_substring_int", "string.(int):string"), ("string_substring_int_int", "string.(int,int):string"),
    ] },
    Row { name: "replace", cost: Cost::Replace, run: replace, overloads: &[
        ("string_replace_string_string", "string.(string,string):string"),
        ("string_replace_string_string_int", "string.(string,string,int):string"),
    ] },
    Row { name: "split", cost: Cost::Split, run: split, overloads: &[
        ("string_split_string", "string.(string):list<string>"), ("string_split_string_int", "string.(string,int):list<string>"),
    ] },
    Row { name: "join", cost: Cost::Join, run: join, overloads: &[
        ("list_join", "list<string>.():string"), ("list_join_string", "list<string>.(string):string"),
    ] },
    Row { name: "strings.quote", cost: Standard, run: quote, overloads: &[("strings_quote", "(string):string")] },
    Row { name: "format", cost: Standard, run: super::printf::format, overloads: &[("string_format", "string.(list<dyn>):string")] },
];

fn contains<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(text(args, 0)?.contains(text(args, 1)?)))
}
fn starts_with<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(text(args, 0)?.starts_with(text(args, 1)?)))
}
fn ends_with<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(text(args, 0)?.ends_with(text(args, 1)?)))
}

fn out_of_range(n: i64) -> EvalError {
    EvalError::new(format!("index out of range: {n}"))
}

fn char_at<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (s, n) = (text(args, 0)?, int(args, 1)?);
    let chars: Vec<char> = s.chars().collect();
    let at = usize::try_from(n).ok().filter(|at| *at <= chars.len()).ok_or_else(|| out_of_range(n))?;
    Ok(Value::text(chars.get(at).map(char::to_string).unwrap_or_default()))
}

fn position(chars: &[char], wanted: &[char], at: usize) -> bool {
    chars[at..].starts_with(wanted)
}

fn index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (s, wanted): (Vec<char>, Vec<char>) = (text(args, 0)?.chars().collect(), text(args, 1)?.chars().collect());
    let from = if args.len() > 2 { int(args, 2)? } else { 0 };
    let start = usize::try_from(from).ok().filter(|f| *f <= s.len()).ok_or_else(|| out_of_range(from))?;
    let found = (start..=s.len()).find(|i| position(&s, &wanted, *i));
    Ok(Value::Int(found.map_or(-1, |i| i as i64)))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (s, wanted): (Vec<char>, Vec<char>) = (text(args, 0)?.chars().collect(), text(args, 1)?.chars().collect());
    let from = if args.len() > 2 { int(args, 2)? } else { s.len() as i64 };
    let start = usize::try_from(from).ok().filter(|f| *f <= s.len()).ok_or_else(|| out_of_range(from))?;
    let found = (0..=start).rev().find(|i| position(&s, &wanted, *i));
    Ok(Value::Int(found.map_or(-1, |i| i as i64)))
}

fn lower<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(text(args, 0)?.to_ascii_lowercase()))
}
fn upper<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(text(args, 0)?.to_ascii_uppercase()))
}
fn trim<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(text(args, 0)?.trim()))
}

fn substring<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let chars: Vec<char> = text(args, 0)?.chars().collect();
    let begin = int(args, 1)?;
    let end = if args.len() > 2 { int(args, 2)? } else { chars.len() as i64 };
    let place = |n: i64| usize::try_from(n).ok().filter(|n| *n <= chars.len()).ok_or_else(|| out_of_range(n));
    let (b, e) = (place(begin)?, place(end)?);
    if b > e {
        return Err(EvalError::new(format!("invalid substring range. start: {begin}, end: {end}")));
    }
    Ok(Value::text(chars[b..e].iter().collect::<String>()))
}

fn replace<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (s, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let count = if args.len() > 3 { int(args, 3)? } else { -1 };
    Ok(Value::text(match usize::try_from(count) {
        Ok(n) => s.replacen(from, to, n),
        Err(_) => s.replace(from, to),
    }))
}

fn split<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (s, by) = (text(args, 0)?, text(args, 1)?);
    let limit = if args.len() > 2 { int(args, 2)? } else { -1 };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let parts: Vec<Value> = if by.is_empty() {
        let mut parts: Vec<String> = s.chars().map(String::from).collect();
        if parts.len() > limit {
            let rest: String = parts.split_off(limit - 1).concat();
            parts.push(rest);
        }
        parts.into_iter().map(Value::text).collect()
    } else {
        s.splitn(limit, by).map(Value::text).collect()
    };
    Ok(Value::list(parts))
}

fn join<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Value::List(list) = &args[0] else { return Err(EvalError::overload()) };
    let by = if args.len() > 1 { text(args, 1)? } else { "" };
    let mut out = String::new();
    for (i, v) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(by);
        }
        out.push_str(v.as_text().ok_or_else(EvalError::overload)?);
    }
    Ok(Value::text(out))
}

fn quote<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut out = String::from("\"");
    for c in text(args, 0)?.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(Value::text(out))
}
