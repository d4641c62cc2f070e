//! `"...".format([...])`: cel-go's format clauses (`%s %d %f %e %b %o %x %X`).

use super::{Answer, convert::show_double, text};
use crate::error::EvalError;
use crate::value::Value;

/// Digits after the point where a clause does not say.
const PRECISION: usize = 6;

pub(crate) fn format<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let pattern = text(args, 0)?;
    let Value::List(list) = &args[1] else { return Err(EvalError::overload()) };
    let mut given = list.iter();
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut used = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.peek() == Some(&'.') {
            chars.next();
            let mut digits = String::new();
            while let Some(d) = chars.peek().filter(|d| d.is_ascii_digit()) {
                digits.push(*d);
                chars.next();
            }
            precision = digits.parse().ok();
        }
        let clause = chars.next().ok_or_else(|| EvalError::new("unexpected end of string"))?;
        let value = given.next().ok_or_else(|| EvalError::new(format!("index {used} out of range")))?;
        used += 1;
        out.push_str(&one(clause, precision, &value)?);
    }
    Ok(Value::text(out))
}

fn one(clause: char, precision: Option<usize>, value: &Value) -> Result<String, EvalError> {
    let odd = |what: &str| EvalError::new(format!("error during formatting: {what} clause can only be used on fitting values, was given {}", value.kind()));
    Ok(match clause {
        's' => show(value),
        'd' => match value {
            Value::Int(n) => n.to_string(),
            Value::Uint(n) => n.to_string(),
            Value::Double(d) if d.is_nan() || d.is_infinite() => show(value),
            _ => return Err(odd("decimal")),
        },
        'f' => match number(value) {
            Some(n) if n.is_finite() => format!("{n:.*}", precision.unwrap_or(PRECISION)),
            Some(_) => show(value),
            None => return Err(odd("fixed-point")),
        },
        'e' => match number(value) {
            Some(n) if n.is_finite() => {
                let text = format!("{n:.*e}", precision.unwrap_or(PRECISION));
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or_default();
                format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
            }
            Some(_) => show(value),
            None => return Err(odd("scientific")),
        },
        'b' => match value {
            Value::Int(n) => signed(*n, |n| format!("{n:b}")),
            Value::Uint(n) => format!("{n:b}"),
            Value::Bool(b) => u8::from(*b).to_string(),
            _ => return Err(odd("binary")),
        },
        'o' => match value {
            Value::Int(n) => signed(*n, |n| format!("{n:o}")),
            Value::Uint(n) => format!("{n:o}"),
            _ => return Err(odd("octal")),
        },
        'x' | 'X' => {
            let bytes = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
            let text = match value {
                Value::Int(n) => signed(*n, |n| format!("{n:x}")),
                Value::Uint(n) => format!("{n:x}"),
                Value::Text(t) => bytes(t.as_bytes()),
                Value::Bytes(b) => bytes(b),
                _ => return Err(odd("hex")),
            };
            if clause == 'X' { text.to_uppercase() } else { text }
        }
        other => return Err(EvalError::new(format!("could not parse formatting clause: unrecognized formatting clause \"{other}\""))),
    })
}

fn signed(n: i64, show: fn(u64) -> String) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, show(n.unsigned_abs()))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(d) => Some(*d),
        Value::Int(n) => Some(*n as f64),
        Value::Uint(n) => Some(*n as f64),
        _ => None,
    }
}

/// A value as `%s` writes it.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Text(t) => t.to_string(),
        Value::Double(d) if d.is_infinite() => if *d > 0.0 { "Infinity".into() } else { "-Infinity".into() },
        Value::Double(d) => show_double(*d),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Null => "null".into(),
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        Value::Timestamp(t) => t.to_string(),
        Value::Duration(d) => crate::time::show_duration(*d),
        Value::Kind(t) => t.to_string(),
        Value::List(l) => format!("[{}]", l.iter().map(|v| show(&v)).collect::<Vec<_>>().join(", ")),
        Value::Map(m) => {
            let mut entries: Vec<String> = m.iter().map(|(k, v)| format!("{}: {}", show(&k), show(&v))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.kind().to_string(),
    }
}
