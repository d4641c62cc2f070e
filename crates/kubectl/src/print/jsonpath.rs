//! kubectl's JSONPath (docs: "JSONPath Support"): templates of text and `{expressions}`, with `range`, filters, slices,
//! unions, recursive descent and literals.

use serde_json::Value;
use std::cmp::Ordering;

/// Nesting of `range` and of recursive descent that is followed.
const MAX_DEPTH: usize = 200;

/// One part of a template.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `$`: from the root again.
    Root,
    /// `@` or a leading dot: from here.
    Here,
    Field(String),
    /// `*`: every element or value.
    Every,
    /// `..`: this and everything inside.
    Deep,
    Slice(Option<i64>, Option<i64>, i64),
    Index(i64),
    Union(Vec<Step>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    operation: Option<(&'static str, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Literal(Value),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

struct Parser<'a> {
    rest: &'a str,
}

type Parsed<T> = Result<T, String>;

impl Template {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Parsed<Self> {
        let mut parser = Parser { rest: text };
        let parts = parser.parts(false, 0)?;
        Ok(Self { parts })
    }

    /// A path as flags take it: `.a.b`, `a.b`, `{.a.b}`.
    pub(crate) fn relaxed(text: &str) -> Parsed<Self> {
        if text.is_empty() {
            return Ok(Self { parts: Vec::new() });
        }
        let inner = text.strip_prefix('{').map_or(Some(text), |t| t.strip_suffix('}'));
        let inner = inner.filter(|t| !t.is_empty() && !(t.contains('{') && !t.contains("\\{")));
        let inner = inner.ok_or_else(|| {
            format!("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}'")
        })?;
        let dot = if inner.starts_with(['.', '[', '$', '@']) { "" } else { "." };
        Self::parse(&format!("{{{dot}{inner}}}"))
    }

    /// Everything that the template's paths find, without its texts.
    pub(crate) fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        let paths = self.parts.iter().filter_map(|p| match p {
            Part::Path(steps) => Some(steps),
            _ => None,
        });
        paths.flat_map(|steps| walk(steps, root, root)).collect()
    }

    /// The first name that the template asks for and the value has not.
    pub(crate) fn missing(&self, root: &Value) -> Option<String> {
        self.parts.iter().find_map(|part| match part {
            Part::Path(steps) | Part::Range(steps, _) => unfound(steps, root),
            Part::Text(_) => None,
        })
    }

    /// What the template asks of lists that they cannot give: an element outside, an index into something else.
    pub(crate) fn fault(&self, root: &Value) -> Option<String> {
        fault(&self.parts, root, root, 0)
    }

    /// The template's text for a value.
    pub(crate) fn render(&self, root: &Value) -> String {
        let mut out = String::new();
        render(&self.parts, root, root, &mut out, 0);
        out
    }
}

fn fault(parts: &[Part], root: &Value, here: &Value, depth: usize) -> Option<String> {
    parts.iter().find_map(|part| match part {
        Part::Text(_) => None,
        Part::Path(steps) => stumble(steps, root, here),
        Part::Range(steps, body) if depth < MAX_DEPTH => {
            stumble(steps, root, here).or_else(|| walk(steps, root, here).into_iter().find_map(|value| fault(body, root, value, depth + 1)))
        }
        Part::Range(..) => None,
    })
}

/// The first index on a way that does not lead on.
fn stumble(steps: &[Step], root: &Value, here: &Value) -> Option<String> {
    let mut found = vec![here];
    for step in steps {
        if let Step::Index(_) | Step::Slice(..) = step
            && let Some(why) = found.iter().find_map(|v| outside(step, v))
        {
            return Some(why);
        }
        found = found.into_iter().flat_map(|v| one(step, root, v)).collect();
    }
    None
}

/// Why an index or a slice cannot be taken of a value.
fn outside(step: &Step, value: &Value) -> Option<String> {
    let list = match value {
        Value::Array(list) => list,
        Value::Null => return None,
        Value::Object(_) => return Some("map[string]interface {} is not array or slice".to_owned()),
        Value::String(_) => return Some("string is not array or slice".to_owned()),
        Value::Bool(_) => return Some("bool is not array or slice".to_owned()),
        Value::Number(n) => return Some(format!("{} is not array or slice", if n.is_f64() { "float64" } else { "int64" })),
    };
    let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let from_end = |n: i64| if n < 0 { n + len } else { n };
    let (from, to) = match step {
        Step::Index(i) => (from_end(*i), from_end(*i) + 1),
        Step::Slice(from, to, _) => (from_end(from.unwrap_or(0)), from_end(to.unwrap_or(len))),
        _ => return None,
    };
    let beyond = |index: i64| Some(format!("array index out of bounds: index {index}, length {len}"));
    match (from, to) {
        (from, to) if from == to => None,
        (from, _) if from >= len || from < 0 => beyond(from),
        (_, to) if to > len || to < 0 => beyond(to - 1),
        (from, to) if from > to => Some(format!("starting index {from} is greater than ending index {to}")),
        _ => None,
    }
}

fn unfound(steps: &[Step], root: &Value) -> Option<String> {
    let mut found = vec![root];
    for step in steps {
        let next: Vec<&Value> = found.iter().flat_map(|v| one(step, root, v)).collect();
        if let (Step::Field(name), true) = (step, next.is_empty() && !found.is_empty()) {
            return Some(name.clone());
        }
        found = next;
    }
    None
}

fn render(parts: &[Part], root: &Value, here: &Value, out: &mut String, depth: usize) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let shown = |v: &Value| if v.is_null() { "null".to_owned() } else { text(v) };
                let found: Vec<String> = walk(steps, root, here).into_iter().map(shown).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(steps, body) if depth < MAX_DEPTH => {
                for value in walk(steps, root, here) {
                    render(body, root, value, out, depth + 1);
                }
            }
            Part::Range(..) => {}
        }
    }
}

/// A value as JSONPath prints it: texts plain, the rest as JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn walk<'v>(steps: &[Step], root: &'v Value, here: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![here];
    for step in steps {
        found = found.into_iter().flat_map(|v| one(step, root, v)).collect();
    }
    found
}

fn one<'v>(step: &Step, root: &'v Value, value: &'v Value) -> Vec<&'v Value> {
    match step {
        Step::Root => vec![root],
        Step::Here => vec![value],
        Step::Field(name) => match value {
            Value::Object(map) => map.get(name).into_iter().collect(),
            // A field of a list is that field of its elements, as in `..` results.
            _ => Vec::new(),
        },
        Step::Every => match value {
            Value::Object(map) => map.values().collect(),
            Value::Array(list) => list.iter().collect(),
            _ => Vec::new(),
        },
        Step::Deep => {
            let mut all = Vec::new();
            deep(value, &mut all, 0);
            all
        }
        Step::Index(i) => {
            let Value::Array(list) = value else { return Vec::new() };
            at(list.len(), *i).and_then(|i| list.get(i)).into_iter().collect()
        }
        Step::Slice(from, to, step) => {
            let Value::Array(list) = value else { return Vec::new() };
            let len = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let clamp = |n: i64| usize::try_from(if n < 0 { n + len } else { n }.clamp(0, len)).unwrap_or_default();
            let (from, to) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(len)));
            let step = usize::try_from(*step).unwrap_or(1).max(1);
            list.get(from..to.max(from)).unwrap_or_default().iter().step_by(step).collect()
        }
        Step::Union(steps) => steps.iter().flat_map(|s| one(s, root, value)).collect(),
        Step::Filter(filter) => {
            let all: Vec<&Value> = match value {
                Value::Array(list) => list.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            };
            all.into_iter().filter(|v| holds(filter, root, v)).collect()
        }
    }
}

fn at(len: usize, index: i64) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if index < 0 { index + len } else { index }).ok()
}

fn deep<'v>(value: &'v Value, all: &mut Vec<&'v Value>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    all.push(value);
    match value {
        Value::Object(map) => map.values().for_each(|v| deep(v, all, depth + 1)),
        Value::Array(list) => list.iter().for_each(|v| deep(v, all, depth + 1)),
        _ => {}
    }
}

fn holds(filter: &Filter, root: &Value, value: &Value) -> bool {
    let values = |operand: &Operand| -> Vec<Value> {
        match operand {
            Operand::Literal(v) => vec![v.clone()],
            Operand::Path(steps) => walk(steps, root, value).into_iter().cloned().collect(),
        }
    };
    let left = values(&filter.left);
    let Some((operation, right)) = &filter.operation else { return !left.is_empty() };
    let right = values(right);
    let (Some(left), Some(right)) = (left.first(), right.first()) else { return false };
    let order = compare(left, right);
    match *operation {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (a, b) if a == b => Some(Ordering::Equal),
        _ => None,
    }
}

impl<'a> Parser<'a> {
    fn parts(&mut self, nested: bool, depth: usize) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        loop {
            let Some(open) = self.rest.find('{') else {
                if nested {
                    return Err("not closed range".to_owned());
                }
                if !self.rest.is_empty() {
                    parts.push(Part::Text(self.rest.to_owned()));
                }
                return Ok(parts);
            };
            if open > 0 {
                parts.push(Part::Text(self.rest[..open].to_owned()));
            }
            self.rest = &self.rest[open + 1..];
            let inner = self.action()?;
            let inner = inner.trim();
            if inner == "end" {
                return if nested { Ok(parts) } else { Err("not in range, nothing to end".to_owned()) };
            }
            if let Some(path) = inner.strip_prefix("range").filter(|p| p.starts_with([' ', '.', '['])) {
                if depth > MAX_DEPTH {
                    return Err("too deeply nested".to_owned());
                }
                let steps = steps(path.trim())?;
                parts.push(Part::Range(steps, self.parts(true, depth + 1)?));
                continue;
            }
            parts.extend(expressions(inner)?);
        }
    }

    /// The text up to the closing brace.
    fn action(&mut self) -> Parsed<&'a str> {
        let mut quote = None;
        let mut escaped = false;
        for (i, c) in self.rest.char_indices() {
            match (quote, c) {
                _ if escaped => escaped = false,
                (_, '\\') => escaped = true,
                (Some(q), c) if q == c => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, '}') => {
                    let inner = &self.rest[..i];
                    self.rest = &self.rest[i + 1..];
                    return Ok(inner);
                }
                _ => {}
            }
        }
        Err("unclosed action".to_owned())
    }
}

/// What stands in one pair of braces: paths and quoted texts one after another.
fn expressions(text: &str) -> Parsed<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if rest.starts_with(['"', '\'']) {
            let (literal, after) = quoted(rest)?;
            parts.push(Part::Text(literal));
            rest = after.trim_start();
            continue;
        }
        let end = path_end(rest);
        if end == 0 {
            return Err(format!("unrecognized character in action: {:?}", rest.chars().next().unwrap_or_default()));
        }
        parts.push(Part::Path(steps(&rest[..end])?));
        rest = rest[end..].trim_start();
    }
    Ok(parts)
}

fn path_end(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_i32, None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if depth > 0 => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth -= 1,
            (None, c) if depth <= 0 && (c.is_whitespace() || c == '"' || c == '\'') => return i,
            _ => {}
        }
    }
    text.len()
}

/// A quoted text at the front, and what follows.
fn quoted(text: &str) -> Parsed<(String, &str)> {
    let quote = text.chars().next().unwrap_or_default();
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => return Err("unterminated quoted string".to_owned()),
            },
            c if c == quote => return Ok((out, &text[i + 1..])),
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn steps(path: &str) -> Parsed<Vec<Step>> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        match first {
            '$' => {
                out.push(Step::Root);
                rest = &rest[1..];
            }
            '@' => {
                out.push(Step::Here);
                rest = &rest[1..];
            }
            '.' if rest.starts_with("..") => {
                out.push(Step::Deep);
                rest = &rest[2..];
                if !rest.starts_with(['[', '*']) {
                    rest = name(rest, &mut out)?;
                } else if rest.starts_with('*') {
                    out.push(Step::Every);
                    rest = &rest[1..];
                }
            }
            '.' => {
                rest = &rest[1..];
                if let Some(after) = rest.strip_prefix('*') {
                    out.push(Step::Every);
                    rest = after;
                } else if !rest.is_empty() && !rest.starts_with('[') {
                    rest = name(rest, &mut out)?;
                }
            }
            '[' => {
                let end = closing(rest)?;
                out.push(bracket(rest[1..end].trim())?);
                rest = &rest[end + 1..];
            }
            '*' => {
                out.push(Step::Every);
                rest = &rest[1..];
            }
            c if c.is_alphanumeric() || c == '_' || c == '-' => rest = name(rest, &mut out)?,
            c => return Err(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
        }
    }
    Ok(out)
}

fn name<'a>(text: &'a str, out: &mut Vec<Step>) -> Parsed<&'a str> {
    let mut field = String::new();
    let mut escaped = false;
    let mut end = text.len();
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => {
                field.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' | ']' | ' ' | '$' | '@' | '(' | ')' | '=' | '!' | '<' | '>' | '{' | '}' | ',' => {
                end = i;
                break;
            }
            c => field.push(c),
        }
    }
    if field.is_empty() {
        return Err(format!("invalid path near {text:?}"));
    }
    out.push(Step::Field(field));
    Ok(&text[end..])
}

fn closing(text: &str) -> Parsed<usize> {
    let (mut depth, mut quote, mut escaped) = (0_i32, None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i);
                }
            }
            _ => {}
        }
    }
    Err("unterminated array".to_owned())
}

fn split_commas(text: &str) -> Vec<&str> {
    let (mut quote, mut from, mut out) = (None, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ',') => {
                out.push(text[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    out.push(text[from..].trim());
    out
}

fn bracket(inner: &str) -> Parsed<Step> {
    if let Some(expression) = inner.strip_prefix("?(").and_then(|e| e.strip_suffix(')')) {
        return filter(expression.trim()).map(|f| Step::Filter(Box::new(f)));
    }
    let parts = split_commas(inner);
    if parts.len() > 1 {
        return parts.into_iter().map(bracket).collect::<Parsed<Vec<_>>>().map(Step::Union);
    }
    if inner == "*" {
        return Ok(Step::Every);
    }
    if inner.starts_with(['"', '\'']) {
        return Ok(Step::Field(quoted(inner)?.0));
    }
    let number = |text: &str| -> Parsed<Option<i64>> {
        let text = text.trim();
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| format!("invalid array index {inner}")) }
    };
    let mut bounds = inner.split(':');
    match (bounds.next(), bounds.next(), bounds.next()) {
        (Some(index), None, None) => number(index)?.map(Step::Index).ok_or_else(|| format!("invalid array index {inner}")),
        (Some(from), Some(to), step) => Ok(Step::Slice(number(from)?, number(to)?, step.map_or(Ok(None), number)?.unwrap_or(1))),
        _ => Err(format!("invalid array index {inner}")),
    }
}

fn filter(text: &str) -> Parsed<Filter> {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '=' | '!' | '<' | '>') => {
                let operation = ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|o| text[i..].starts_with(o));
                let operation = operation.ok_or_else(|| format!("unrecognized filter operator in {text}"))?;
                let right = operand(text[i + operation.len()..].trim())?;
                return Ok(Filter { left: operand(text[..i].trim())?, operation: Some((operation, right)) });
            }
            _ => {}
        }
    }
    Ok(Filter { left: operand(text)?, operation: None })
}

fn operand(text: &str) -> Parsed<Operand> {
    if text.starts_with(['"', '\'']) {
        return Ok(Operand::Literal(Value::String(quoted(text)?.0)));
    }
    if let Ok(value @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str::<Value>(text) {
        return Ok(Operand::Literal(value));
    }
    steps(text).map(Operand::Path)
}
