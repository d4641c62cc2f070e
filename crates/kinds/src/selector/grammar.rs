//! The label selector's grammar, with the words in which Kubernetes says what is wrong. Docs: "Labels and Selectors: API".
//!
//! ```text
//!  selector    = [ requirement { "," requirement } ]
//!  requirement = [ "!" ] key | key ( "=" | "==" | "!=" | "<" | ">" ) [ value ] | key ( "in" | "notin" ) "(" values ")"
//! ```

use super::{Operator, Requirement};

/// A selector is made of these.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    /// `!`.
    Not,
    Comma,
    Open,
    Close,
    /// What compares: `=`, `==`, `!=`, `<`, `>`, and where an operator is expected `in` and `notin`.
    Compare(Operator),
    End,
}

const SPECIAL: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut all = Parser { tokens: tokens(text), at: 0 }.selector()?;
    all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(all)
}

fn tokens(text: &str) -> Vec<(Token, &str)> {
    let (mut all, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '>' => (Token::Compare(Operator::GreaterThan), 1),
            '<' => (Token::Compare(Operator::LessThan), 1),
            '=' => (Token::Compare(Operator::In), if rest.starts_with("==") { 2 } else { 1 }),
            '!' if rest.starts_with("!=") => (Token::Compare(Operator::NotIn), 2),
            '!' => (Token::Not, 1),
            _ => (Token::Word, rest.find(|c: char| SPECIAL.contains(&c) || " \t\r\n".contains(c)).unwrap_or(rest.len())),
        };
        let (word, after) = rest.split_at(length);
        all.push((token, word));
        rest = after;
    }
    all
}

impl<'a> Parser<'a> {
    fn look(&self) -> (Token, &'a str) {
        self.tokens.get(self.at).copied().unwrap_or((Token::End, ""))
    }

    fn take(&mut self) -> (Token, &'a str) {
        let token = self.look();
        self.at += 1;
        token
    }

    fn selector(mut self) -> Result<Vec<Requirement>, String> {
        let mut all = Vec::new();
        loop {
            match self.look() {
                (Token::Word | Token::Not, _) => {}
                (Token::End, _) => return Ok(all),
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
            all.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
            match self.take() {
                (Token::End, _) => return Ok(all),
                (Token::Comma, _) => match self.look() {
                    (Token::Word | Token::Not, _) => {}
                    (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                },
                (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.look().0 == Token::Not;
        if negated {
            self.take();
        }
        let key = self.word("identifier")?.to_owned();
        check_key(&key)?;
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        if matches!(self.look().0, Token::End | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        let (operator, listed) = match self.take() {
            (Token::Compare(operator), _) => (operator, false),
            (Token::Word, "in") => (Operator::In, true),
            (Token::Word, "notin") => (Operator::NotIn, true),
            (_, found) => return Err(format!("found '{found}', expected: {OPERATORS}")),
        };
        let values = if listed { self.values()? } else { self.value()? };
        finish(key, operator, values)
    }

    fn word(&mut self, expected: &str) -> Result<&'a str, String> {
        match self.take() {
            (Token::Word, word) => Ok(word),
            (_, found) => Err(format!("found '{found}', expected: {expected}")),
        }
    }

    /// The one value behind an operator, which may be missing.
    fn value(&mut self) -> Result<Vec<String>, String> {
        if matches!(self.look().0, Token::End | Token::Comma) {
            return Ok(vec![String::new()]);
        }
        self.word("identifier").map(|w| vec![w.to_owned()])
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.take() {
            (Token::Open, _) => {}
            (_, found) => return Err(format!("found '{found}' expected: '('")),
        }
        match self.look() {
            (Token::Word | Token::Comma | Token::Close, _) => {}
            (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
        let mut values = Vec::new();
        // Between commas, and between a comma and a parenthesis, stands an empty value.
        let mut open = true;
        loop {
            match self.take() {
                (Token::Word, word) if open => {
                    values.push(word.to_owned());
                    open = false;
                }
                (Token::Comma, _) => {
                    if open {
                        values.push(String::new());
                    }
                    open = true;
                }
                (Token::Close, _) => {
                    if open {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                (_, found) if open => return Err(format!("found '{found}', expected: ',', or identifier")),
                (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
            }
        }
    }
}

fn finish(key: String, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        if let Some((i, bad)) = values.iter().enumerate().find(|(_, v)| v.parse::<i64>().is_err()) {
            return Err(format!("values[{i}]: Invalid value: {bad:?}: for 'Gt', 'Lt' operators, the value must be an integer"));
        }
    }
    values.sort();
    values.dedup();
    for (i, v) in values.iter().enumerate() {
        check_value(v).map_err(|why| format!("values[{i}][{key}]: Invalid value: {v:?}: {why}"))?;
    }
    Ok(Requirement { key, operator, values })
}

fn is_name(s: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = s.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn is_subdomain(s: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let label = |l: &str| {
        let bytes = l.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| edge(Some(b)) || *b == b'-')
    };
    s.split('.').all(label)
}

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX_RULE: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
/// Longest name, and longest prefix of one.
const NAME_MAX: usize = 63;
const PREFIX_MAX: usize = 253;

/// A key is a name with or without the prefix of a domain.
fn check_key(key: &str) -> Result<(), String> {
    let mut wrong = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > PREFIX_MAX {
                    wrong.push(format!("prefix part must be no more than {PREFIX_MAX} bytes"));
                }
                if !is_subdomain(prefix) {
                    wrong.push(format!("prefix part {PREFIX_RULE}"));
                }
            }
            name
        }
        _ => {
            let why = format!("a valid label key {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_MAX {
        wrong.push(format!("name part must be no more than {NAME_MAX} bytes"));
    }
    if !is_name(name) {
        wrong.push(format!("name part {NAME_RULE}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("<nil>: Invalid value: {key:?}: {}", wrong.join("; "))) }
}

fn check_value(value: &str) -> Result<(), String> {
    let mut wrong = Vec::new();
    if value.len() > NAME_MAX {
        wrong.push(format!("must be no more than {NAME_MAX} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        wrong.push(VALUE_RULE.to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
