//! The part of Go's text/template that kubectl's users use: pipelines, variables, `if`, `with`, `range`, `define`-less, trim
//! markers, the built-in functions, and kubectl's own `base64decode` and `exists`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// Loops and nesting that are followed.
const MAX_DEPTH: usize = 100;

type Parsed<T> = Result<T, String>;

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Print(Pipe),
    If(Pipe, Vec<Node>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range(Pipe, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

#[derive(Clone, Debug, Default)]
struct Pipe {
    /// Variables on the left, and whether they are new.
    variables: Vec<String>,
    declares: bool,
    commands: Vec<Vec<Term>>,
}

#[derive(Clone, Debug)]
enum Term {
    Dot,
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    Group(Pipe, Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Variable(String),
    Text(String),
    Number(Number),
    Symbol(&'static str),
    Space,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

fn pieces(text: &str) -> Parsed<Vec<Piece>> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut trim_left = false;
    while let Some(open) = rest.find("{{") {
        let mut before = &rest[..open];
        if trim_left {
            before = before.trim_start();
        }
        let mut inner = &rest[open + 2..];
        if inner.starts_with("- ") || inner.starts_with("-\n") || inner.starts_with("-\t") {
            before = before.trim_end();
            inner = &inner[1..];
        }
        out.push(Piece::Text(before.to_owned()));
        if let Some(comment) = inner.trim_start().strip_prefix("/*") {
            let end = comment.find("*/").ok_or("unclosed comment")?;
            let after = comment[end + 2..].trim_start();
            trim_left = after.starts_with('-');
            rest = after.trim_start_matches('-').strip_prefix("}}").ok_or("comment ends before closing delimiter")?;
            continue;
        }
        let end = action_end(inner).ok_or("unclosed action")?;
        let mut action = &inner[..end];
        rest = &inner[end + 2..];
        trim_left = action.ends_with(" -") || action.ends_with("\n-") || action == "-";
        if trim_left {
            action = &action[..action.len() - 1];
        }
        out.push(Piece::Action(tokens(action)?));
    }
    out.push(Piece::Text(if trim_left { rest.trim_start() } else { rest }.to_owned()));
    Ok(out)
}

fn action_end(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`' | '\'') => quote = Some(c),
            (None, '}') if text[i..].starts_with("}}") => return Some(i),
            _ => {}
        }
    }
    None
}

fn word_end(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn tokens(text: &str) -> Parsed<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_value = matches!(out.last(), Some(Token::Symbol(")") | Token::Field(_) | Token::Variable(_)));
        match c {
            c if c.is_whitespace() => {
                rest = rest.trim_start();
                out.push(Token::Space);
            }
            '"' => {
                let end = string_end(rest)?;
                out.push(Token::Text(unquote(&rest[1..end])?));
                rest = &rest[end + 1..];
            }
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                out.push(Token::Text(rest[1..=end].to_owned()));
                rest = &rest[end + 2..];
            }
            '\'' => {
                let c = rest.chars().nth(1).ok_or("unterminated character constant")?;
                let end = rest[1 + c.len_utf8()..].find('\'').ok_or("unterminated character constant")? + 1 + c.len_utf8();
                out.push(Token::Number(Number::from(c as u32)));
                rest = &rest[end + 1..];
            }
            '$' => {
                let end = word_end(&rest[1..]) + 1;
                out.push(Token::Variable(rest[1..end].to_owned()));
                rest = &rest[end..];
            }
            '.' if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                let end = word_end(&rest[1..]) + 1;
                out.push(Token::Field(rest[1..end].to_owned()));
                rest = &rest[end..];
            }
            '.' => {
                out.push(Token::Symbol("."));
                rest = &rest[1..];
            }
            c if c.is_ascii_digit() || ((c == '-' || c == '+') && !after_value && rest[1..].starts_with(|c: char| c.is_ascii_digit())) => {
                let end = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.').map_or(rest.len(), |i| i + 1);
                let number = rest[..end].trim_start_matches('+').parse::<i64>().map(Number::from).ok();
                let number = number.or_else(|| rest[..end].parse::<f64>().ok().and_then(Number::from_f64));
                out.push(Token::Number(number.ok_or_else(|| format!("bad number syntax: {:?}", &rest[..end]))?));
                rest = &rest[end..];
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = word_end(rest);
                out.push(Token::Word(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            _ => {
                let symbol = [":=", "=", "|", "(", ")", ","].into_iter().find(|s| rest.starts_with(s));
                let symbol = symbol.ok_or_else(|| format!("unexpected {c:?} in operand"))?;
                out.push(Token::Symbol(symbol));
                rest = &rest[symbol.len()..];
            }
        }
    }
    Ok(out)
}

fn string_end(text: &str) -> Parsed<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(i),
            _ => {}
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn unquote(text: &str) -> Parsed<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let code: String = chars.by_ref().take(4).collect();
                out.push(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).ok_or("bad escape")?);
            }
            Some(other @ ('\\' | '"' | '\'')) => out.push(other),
            _ => return Err("invalid syntax".to_owned()),
        }
    }
    Ok(out)
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
}

/// What ended a list of nodes.
enum Ending {
    End,
    Else(Vec<Token>),
    Eof,
}

fn keyword(tokens: &[Token]) -> (Option<&str>, &[Token]) {
    match tokens {
        [Token::Space, rest @ ..] => keyword(rest),
        [Token::Word(word), rest @ ..] => (Some(word), rest),
        _ => (None, tokens),
    }
}

impl Parser {
    fn nodes(&mut self, depth: usize) -> Parsed<(Vec<Node>, Ending)> {
        if depth > MAX_DEPTH {
            return Err("too deeply nested".to_owned());
        }
        let mut out = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    out.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            match keyword(&action) {
                (Some("end"), _) => return Ok((out, Ending::End)),
                (Some("else"), rest) => return Ok((out, Ending::Else(rest.to_vec()))),
                (Some("break"), _) => out.push(Node::Break),
                (Some("continue"), _) => out.push(Node::Continue),
                (Some(word @ ("if" | "with" | "range")), rest) => out.push(self.block(word, rest, depth)?),
                (Some(word @ ("define" | "template" | "block")), _) => return Err(format!("{word} is not supported")),
                _ => out.push(Node::Print(pipe(&action)?)),
            }
        }
        Ok((out, Ending::Eof))
    }

    fn block(&mut self, word: &str, head: &[Token], depth: usize) -> Parsed<Node> {
        let pipe = pipe(head)?;
        let (body, ending) = self.nodes(depth + 1)?;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Eof => return Err("unexpected EOF".to_owned()),
            Ending::Else(rest) => match keyword(&rest) {
                (Some(inner), head) => vec![self.block(inner, head, depth + 1)?],
                _ => match self.nodes(depth + 1)? {
                    (nodes, Ending::End) => nodes,
                    _ => return Err("unexpected {{else}}".to_owned()),
                },
            },
        };
        Ok(match word {
            "if" => Node::If(pipe, body, otherwise),
            "with" => Node::With(pipe, body, otherwise),
            _ => Node::Range(pipe, body, otherwise),
        })
    }
}

fn pipe(tokens: &[Token]) -> Parsed<Pipe> {
    let mut at = 0;
    let pipe = parse_pipe(tokens, &mut at, false, 0)?;
    if at < tokens.len() { Err(format!("unexpected {:?} in command", tokens[at])) } else { Ok(pipe) }
}

fn parse_pipe(tokens: &[Token], at: &mut usize, inner: bool, depth: usize) -> Parsed<Pipe> {
    if depth > MAX_DEPTH {
        return Err("too deeply nested".to_owned());
    }
    let mut pipe = Pipe::default();
    if let Some(sign) = tokens[*at..].iter().position(|t| matches!(t, Token::Symbol(":=" | "="))).filter(|_| !inner) {
        pipe.declares = tokens[*at + sign] == Token::Symbol(":=");
        for token in &tokens[*at..*at + sign] {
            match token {
                Token::Variable(name) => pipe.variables.push(name.clone()),
                Token::Space | Token::Symbol(",") => {}
                other => return Err(format!("unexpected {other:?} in declaration")),
            }
        }
        *at += sign + 1;
    }
    let mut command: Vec<Term> = Vec::new();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let mut term = match token {
            Token::Space => continue,
            Token::Symbol("|") => {
                pipe.commands.push(std::mem::take(&mut command));
                continue;
            }
            Token::Symbol(")") if inner => {
                *at -= 1;
                break;
            }
            Token::Symbol("(") => {
                let group = parse_pipe(tokens, at, true, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Symbol(")")) {
                    return Err("unclosed left paren".to_owned());
                }
                *at += 1;
                Term::Group(group, Vec::new())
            }
            Token::Symbol(".") => Term::Dot,
            Token::Field(name) => Term::Field(vec![name.clone()]),
            Token::Variable(name) => Term::Variable(name.clone(), Vec::new()),
            Token::Text(text) => Term::Literal(Value::String(text.clone())),
            Token::Number(number) => Term::Literal(Value::Number(number.clone())),
            Token::Word(word) => match word.as_str() {
                "true" => Term::Literal(Value::Bool(true)),
                "false" => Term::Literal(Value::Bool(false)),
                "nil" => Term::Literal(Value::Null),
                known if FUNCTIONS.contains(&known) => Term::Function(word.clone()),
                _ => return Err(format!("function \"{word}\" not defined")),
            },
            Token::Symbol(other) => return Err(format!("unexpected {other:?} in operand")),
        };
        if let Term::Field(fields) | Term::Variable(_, fields) | Term::Group(_, fields) = &mut term {
            while let Some(Token::Field(name)) = tokens.get(*at) {
                fields.push(name.clone());
                *at += 1;
            }
        }
        command.push(term);
    }
    pipe.commands.push(command);
    if pipe.commands.iter().any(Vec::is_empty) { Err("missing value for command".to_owned()) } else { Ok(pipe) }
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Run {
    out: String,
    /// `None`: a value that is not there (`<no value>`).
    variables: Vec<(String, Option<Value>)>,
}

impl Template {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Parsed<Self> {
        let mut parser = Parser { pieces: pieces(text)?.into_iter() };
        match parser.nodes(0)? {
            (nodes, Ending::Eof) => Ok(Self { nodes }),
            (_, Ending::End) => Err("unexpected {{end}}".to_owned()),
            (_, Ending::Else(_)) => Err("unexpected {{else}}".to_owned()),
        }
    }

    /// The template's text for a value.
    pub(crate) fn render(&self, value: &Value) -> Parsed<String> {
        let mut run = Run { out: String::new(), variables: vec![(String::new(), Some(value.clone()))] };
        run.nodes(&self.nodes, &Some(value.clone()))?;
        Ok(run.out)
    }
}

fn truth(value: &Option<Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(b)) => *b,
        Some(Value::Number(n)) => n.as_f64() != Some(0.0),
        Some(Value::String(s)) => !s.is_empty(),
        Some(Value::Array(l)) => !l.is_empty(),
        Some(Value::Object(m)) => !m.is_empty(),
    }
}

/// A value as Go's `%v` prints it.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(k, _)| *k);
            format!("map[{}]", pairs.iter().map(|(k, v)| format!("{k}:{}", show(v))).collect::<Vec<_>>().join(" "))
        }
    }
}

fn show_any(value: &Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => "<no value>".to_owned(),
        Some(v) => show(v),
    }
}

fn fields(value: Option<Value>, names: &[String]) -> Parsed<Option<Value>> {
    let mut value = value;
    for name in names {
        value = match value {
            Some(Value::Object(mut map)) => map.remove(name),
            None | Some(Value::Null) => None,
            Some(other) => {
                let kind = match other {
                    Value::Array(_) => "slice",
                    Value::String(_) => "string",
                    Value::Bool(_) => "bool",
                    _ => "float64",
                };
                return Err(format!("can't evaluate field {name} in type {kind}"));
            }
        };
    }
    Ok(value)
}

impl Run {
    fn nodes(&mut self, nodes: &[Node], dot: &Option<Value>) -> Parsed<Flow> {
        let depth = self.variables.len();
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::Next
                }
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&show_any(&value));
                    }
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
                Node::If(pipe, body, otherwise) => {
                    let inner = self.variables.len();
                    let value = self.pipe(pipe, dot)?;
                    let flow = self.nodes(if truth(&value) { body } else { otherwise }, dot)?;
                    self.variables.truncate(inner);
                    flow
                }
                Node::With(pipe, body, otherwise) => {
                    let inner = self.variables.len();
                    let value = self.pipe(pipe, dot)?;
                    let flow = if truth(&value) { self.nodes(body, &value)? } else { self.nodes(otherwise, dot)? };
                    self.variables.truncate(inner);
                    flow
                }
                Node::Range(pipe, body, otherwise) => self.range(pipe, body, otherwise, dot)?,
            };
            if flow != Flow::Next {
                self.variables.truncate(depth);
                return Ok(flow);
            }
        }
        self.variables.truncate(depth);
        Ok(Flow::Next)
    }

    fn range(&mut self, head: &Pipe, body: &[Node], otherwise: &[Node], dot: &Option<Value>) -> Parsed<Flow> {
        let plain = Pipe { variables: Vec::new(), declares: false, commands: head.commands.clone() };
        let items: Vec<(Value, Value)> = match self.pipe(&plain, dot)? {
            Some(Value::Array(list)) => list.into_iter().enumerate().map(|(i, v)| (Value::from(i), v)).collect(),
            Some(Value::Object(map)) => map.into_iter().map(|(k, v)| (Value::String(k), v)).collect(),
            Some(Value::Number(n)) => (0..n.as_u64().unwrap_or_default()).map(|i| (Value::from(i), Value::from(i))).collect(),
            None | Some(Value::Null) => Vec::new(),
            Some(other) => return Err(format!("range can't iterate over {}", show(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, value) in items {
            let depth = self.variables.len();
            match &head.variables[..] {
                [] => {}
                [one] => self.variables.push((one.clone(), Some(value.clone()))),
                [k, v, ..] => self.variables.extend([(k.clone(), Some(key)), (v.clone(), Some(value.clone()))]),
            }
            let flow = self.nodes(body, &Some(value))?;
            self.variables.truncate(depth);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Option<Value>) -> Parsed<Option<Value>> {
        let mut value: Option<Option<Value>> = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.flatten();
        for name in &pipe.variables {
            if pipe.declares {
                self.variables.push((name.clone(), value.clone()));
            } else if let Some(slot) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                slot.1.clone_from(&value);
            } else {
                return Err(format!("undefined variable \"${name}\""));
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &[Term], piped: Option<Option<Value>>, dot: &Option<Value>) -> Parsed<Option<Value>> {
        let Term::Function(name) = &command[0] else {
            if command.len() > 1 || piped.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.term(&command[0], dot);
        };
        if name == "and" || name == "or" {
            let mut last = None;
            for term in &command[1..] {
                last = self.term(term, dot)?;
                if truth(&last) == (name == "or") {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut arguments = command[1..].iter().map(|t| self.term(t, dot)).collect::<Parsed<Vec<_>>>()?;
        arguments.extend(piped);
        call(name, arguments)
    }

    fn term(&mut self, term: &Term, dot: &Option<Value>) -> Parsed<Option<Value>> {
        match term {
            Term::Dot => Ok(dot.clone()),
            Term::Field(names) => fields(dot.clone(), names),
            Term::Variable(name, names) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                fields(found.ok_or_else(|| format!("undefined variable \"${name}\""))?, names)
            }
            Term::Literal(value) => Ok(Some(value.clone())),
            Term::Group(pipe, names) => fields(self.pipe(pipe, dot)?, names),
            Term::Function(name) => call(name, Vec::new()),
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (a, b) if a == b => Some(Ordering::Equal),
        _ => None,
    }
}

/// Everything that may be called.
const FUNCTIONS: [&str; 21] = [
    "and", "or", "not", "len", "index", "slice", "eq", "ne", "lt", "le", "gt", "ge", "print", "println", "printf", "html", "js", "urlquery", "call", "base64decode", "exists",
];

fn call(name: &str, arguments: Vec<Option<Value>>) -> Parsed<Option<Value>> {
    let bad = |text: &str| Err(format!("error calling {name}: {text}"));
    let values: Vec<Value> = arguments.iter().map(|v| v.clone().unwrap_or_default()).collect();
    let first = values.first();
    let text = |v: &Value| if let Value::String(s) = v { s.clone() } else { show(v) };
    Ok(Some(match (name, first) {
        ("not", Some(_)) => Value::Bool(!truth(&arguments[0])),
        ("len", Some(Value::String(s))) => Value::from(s.len()),
        ("len", Some(Value::Array(l))) => Value::from(l.len()),
        ("len", Some(Value::Object(m))) => Value::from(m.len()),
        ("len", _) => return bad("len of nil pointer"),
        ("index", Some(_)) => return index(values),
        ("slice", Some(_)) => return slice(&values),
        ("eq", Some(a)) => Value::Bool(values[1..].iter().any(|b| compare(a, b) == Some(Ordering::Equal))),
        ("ne", Some(a)) => Value::Bool(values.get(1).is_none_or(|b| compare(a, b) != Some(Ordering::Equal))),
        ("lt" | "le" | "gt" | "ge", Some(a)) => {
            let order = values.get(1).and_then(|b| compare(a, b));
            let Some(order) = order else { return bad("incompatible types for comparison") };
            Value::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        ("print", _) => {
            let mut out = String::new();
            for (i, v) in values.iter().enumerate() {
                if i > 0 && !v.is_string() && !values[i - 1].is_string() {
                    out.push(' ');
                }
                out.push_str(&text(v));
            }
            Value::String(out)
        }
        ("println", _) => Value::String(values.iter().map(text).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", Some(Value::String(format))) => Value::String(printf(format, &values[1..])),
        ("html", _) => {
            let all: String = values.iter().map(text).collect();
            Value::String(all.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;"))
        }
        ("js", _) => {
            let all: String = values.iter().map(text).collect();
            Value::String(all.replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"").replace('\n', "\\u000A"))
        }
        ("urlquery", _) => Value::String(crate::query::escape(&values.iter().map(text).collect::<String>())),
        ("base64decode", Some(Value::String(s))) => match STANDARD.decode(s) {
            Ok(bytes) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) => return bad(&format!("base64 decode failed: {e}")),
        },
        ("exists", Some(_)) => Value::Bool(index(values).is_ok_and(|v| v.is_some_and(|v| !v.is_null()))),
        _ => return Err(format!("function \"{name}\" not defined")),
    }))
}

fn index(values: Vec<Value>) -> Parsed<Option<Value>> {
    let mut values = values.into_iter();
    let mut at = values.next();
    for key in values {
        at = match (at, &key) {
            (Some(Value::Object(mut map)), Value::String(key)) => map.remove(key),
            (Some(Value::Array(list)), Value::Number(n)) => {
                let i = n.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
                let found = list.get(i).cloned();
                Some(found.ok_or_else(|| format!("error calling index: index out of range: {i}"))?)
            }
            (None | Some(Value::Null), _) => return Err("error calling index: index of untyped nil".to_owned()),
            _ => return Err("error calling index: cannot index that with this key".to_owned()),
        };
    }
    Ok(at)
}

fn slice(values: &[Value]) -> Parsed<Option<Value>> {
    let bound = |i: usize| values.get(i).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let out_of_range = || "error calling slice: index out of range".to_owned();
    match &values[0] {
        Value::String(s) => {
            let part = s.get(bound(1).unwrap_or(0)..bound(2).unwrap_or(s.len())).ok_or_else(out_of_range)?;
            Ok(Some(Value::String(part.to_owned())))
        }
        Value::Array(l) => {
            let part = l.get(bound(1).unwrap_or(0)..bound(2).unwrap_or(l.len())).ok_or_else(out_of_range)?;
            Ok(Some(Value::Array(part.to_vec())))
        }
        _ => Err("error calling slice: can't slice item".to_owned()),
    }
}

/// Go's Printf with the verbs that templates use.
fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(f) = chars.next_if(|c| "+-# 0123456789.".contains(*c)) {
            flags.push(f);
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = values.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        out.push_str(&pad(&formatted(verb, &flags, value), &flags));
    }
    out
}

/// Wider fields are as wide as what is in them (Go's limit).
const WIDTH_MAX: usize = 1_000_000;
/// More digits behind the point are the usual six.
const PRECISION_MAX: usize = 10_000;

fn formatted(verb: char, flags: &str, value: &Value) -> String {
    let precision = flags.split_once('.').and_then(|(_, p)| p.parse::<usize>().ok()).filter(|p| *p <= PRECISION_MAX);
    match (verb, value) {
        ('v' | 's', v) => show(v),
        ('q', Value::String(s)) => format!("{s:?}"),
        ('d', Value::Number(n)) => n.as_i64().map_or_else(|| n.to_string(), |n| n.to_string()),
        ('x', Value::Number(n)) => format!("{:x}", n.as_i64().unwrap_or_default()),
        ('f', Value::Number(n)) => format!("{:.*}", precision.unwrap_or(6), n.as_f64().unwrap_or_default()),
        ('t', Value::Bool(b)) => b.to_string(),
        ('T', v) => match v {
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(_) => "float64",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
            Value::Null => "<nil>",
        }
        .to_owned(),
        (verb, v) => format!("%!{verb}({})", show(v)),
    }
}

fn pad(text: &str, flags: &str) -> String {
    let left = flags.contains('-');
    let digits = flags.trim_start_matches(['-', '+', '#', ' ']);
    let zero = digits.starts_with('0') && !left;
    let width: usize = digits.split('.').next().and_then(|w| w.parse().ok()).filter(|w| *w <= WIDTH_MAX).unwrap_or_default();
    let missing = width.saturating_sub(text.chars().count());
    match (left, zero) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (_, true) => format!("{}{text}", "0".repeat(missing)),
        _ => format!("{}{text}", " ".repeat(missing)),
    }
}
