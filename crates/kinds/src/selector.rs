//! Label and field selectors: the query-string syntax, the `LabelSelector` struct, and matching.
//!
//! Docs: "Labels and Selectors", "Field Selectors".

use crate::LabelSelector;
use std::collections::BTreeMap;
use std::fmt;

/// A set of labels.
pub type Labels = BTreeMap<String, String>;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// Sorted, unique.
    pub values: Vec<String>,
}

impl Requirement {
    fn matches(&self, labels: Option<&Labels>) -> bool {
        let value = labels.and_then(|l| l.get(&self.key));
        let contains = |v: &String| self.values.binary_search(v).is_ok();
        let compare = |less: bool| {
            let (Some(have), Some(want)) = (value, self.values.first()) else { return false };
            let (Ok(have), Ok(want)) = (have.parse::<i64>(), want.parse::<i64>()) else { return false };
            if less { have < want } else { have > want }
        };
        match self.operator {
            Operator::In => value.is_some_and(contains),
            Operator::NotIn => !value.is_some_and(contains),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(false),
            Operator::LessThan => compare(true),
        }
    }
}

/// All requirements must hold. Without any, everything matches; `Nothing` matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    All(Vec<Requirement>),
    Nothing,
}

impl Default for Selector {
    fn default() -> Self {
        Self::everything()
    }
}

impl Selector {
    /// Matches every set of labels.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }
    /// Whether it has no requirement.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(r) if r.is_empty())
    }
    /// Exactly these labels and any others.
    #[must_use]
    pub fn from_map(labels: &Labels) -> Self {
        let equal = |(k, v): (&String, &String)| Requirement {
            key: k.clone(),
            operator: Operator::In,
            values: vec![v.clone()],
        };
        Self::All(labels.iter().map(equal).collect())
    }
    /// A `LabelSelector` as workloads carry it: absent matches nothing, empty matches everything.
    #[must_use]
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Self {
        let Some(s) = selector else { return Self::Nothing };
        let Self::All(mut all) = Self::from_map(s.match_labels.as_ref().unwrap_or(&Labels::new())) else {
            return Self::Nothing;
        };
        for e in s.match_expressions.iter().flatten() {
            let operator = match e.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => return Self::Nothing,
            };
            let mut values = e.values.clone().unwrap_or_default();
            values.sort();
            values.dedup();
            all.push(Requirement { key: e.key.clone(), operator, values });
        }
        Self::All(all)
    }
    /// Whether these labels satisfy every requirement.
    #[must_use]
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        match self {
            Self::All(r) => r.iter().all(|r| r.matches(labels)),
            Self::Nothing => false,
        }
    }
    /// Reads the query-string syntax: `app=web,tier in (a, b),!beta,n>3`.
    ///
    /// # Errors
    /// A text that says what was found where something else was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::Parser::new(text).requirements().map(Self::All)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.values.join(",");
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{}={list}", self.key),
            Operator::In => write!(f, "{} in ({list})", self.key),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{}!={list}", self.key),
            Operator::NotIn => write!(f, "{} notin ({list})", self.key),
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::GreaterThan => write!(f, "{}>{list}", self.key),
            Operator::LessThan => write!(f, "{}<{list}", self.key),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::All(all) = self {
            let parts: Vec<String> = all.iter().map(ToString::to_string).collect();
            f.write_str(&parts.join(","))?;
        }
        Ok(())
    }
}

/// One comparison of a field selector: `field=value` or `field!=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    pub field: String,
    pub value: String,
    pub equal: bool,
}

/// Reads `a.b=c,d!=e`.
///
/// # Errors
/// The message Kubernetes gives for a term without an operator.
pub fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    for part in split_escaped(text) {
        if part.is_empty() {
            continue;
        }
        let (at, len, equal) = operator(&part)
            .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
        let value = unescape(&part[at + len..]);
        terms.push(FieldTerm { field: part[..at].to_owned(), value, equal });
    }
    Ok(terms)
}

fn operator(part: &str) -> Option<(usize, usize, bool)> {
    let at = part.find(['=', '!'])?;
    match &part[at..] {
        r if r.starts_with("!=") => Some((at, 2, false)),
        r if r.starts_with("==") => Some((at, 2, true)),
        r if r.starts_with('=') => Some((at, 1, true)),
        _ => None,
    }
}

fn split_escaped(text: &str) -> Vec<String> {
    let (mut parts, mut now, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == ',' && !escaped {
            parts.push(std::mem::take(&mut now));
            continue;
        }
        escaped = c == '\\' && !escaped;
        now.push(c);
    }
    parts.push(now);
    parts
}

fn unescape(text: &str) -> String {
    let (mut out, mut escaped) = (String::new(), false);
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}

mod parse {
    //! The label selector's little grammar.
    use super::{Operator, Requirement};

    pub(super) struct Parser<'a> {
        rest: &'a str,
        whole: &'a str,
    }

    impl<'a> Parser<'a> {
        pub(super) fn new(text: &'a str) -> Self {
            Self { rest: text, whole: text }
        }

        fn space(&mut self) {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        }

        fn take(&mut self, token: &str) -> bool {
            self.space();
            match self.rest.strip_prefix(token) {
                Some(r) => {
                    self.rest = r;
                    true
                }
                None => false,
            }
        }

        fn word(&mut self) -> &'a str {
            self.space();
            let stop = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '<' | '>' | ' ' | '\t' | '\r' | '\n');
            let end = self.rest.find(stop).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            word
        }

        fn fail(&self, expected: &str) -> String {
            let found: String = self.rest.chars().take(1).collect();
            format!("unable to parse requirement: found '{found}'{} expected: {expected}", if expected == "'('" { "" } else { "," })
        }

        pub(super) fn requirements(mut self) -> Result<Vec<Requirement>, String> {
            let mut all = Vec::new();
            self.space();
            if self.rest.is_empty() {
                return Ok(all);
            }
            loop {
                all.push(self.requirement()?);
                self.space();
                if self.rest.is_empty() {
                    break;
                }
                if !self.take(",") {
                    return Err(self.fail("',' or 'end of string'").replace("requirement: ", "requirement: ") );
                }
                self.space();
                if self.rest.is_empty() {
                    let _ = self.whole;
                    return Err("unable to parse requirement: found '', expected: identifier after ','".into());
                }
            }
            all.sort_by(|a: &Requirement, b: &Requirement| a.key.cmp(&b.key));
            Ok(all)
        }

        fn requirement(&mut self) -> Result<Requirement, String> {
            let negated = self.take("!");
            let key = self.word();
            if key.is_empty() {
                return Err(self.fail("!, identifier, or 'end of string'"));
            }
            check_key(key)?;
            let key = key.to_owned();
            if negated {
                return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
            }
            self.space();
            if self.rest.is_empty() || self.rest.starts_with(',') {
                return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
            }
            for (token, operator) in
                [("==", Operator::In), ("=", Operator::In), ("!=", Operator::NotIn), (">", Operator::GreaterThan), ("<", Operator::LessThan)]
            {
                if self.take(token) {
                    let value = self.word().to_owned();
                    return finish(key, operator, vec![value]);
                }
            }
            let operator = match self.word() {
                "in" => Operator::In,
                "notin" => Operator::NotIn,
                other => {
                    return Err(format!(
                        "unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                    ));
                }
            };
            let values = self.values()?;
            finish(key, operator, values)
        }

        fn values(&mut self) -> Result<Vec<String>, String> {
            if !self.take("(") {
                return Err(self.fail("'('"));
            }
            let mut values = Vec::new();
            loop {
                values.push(self.word().to_owned());
                if self.take(")") {
                    return Ok(values);
                }
                if !self.take(",") {
                    return Err(self.fail("',', or ')'"));
                }
            }
        }
    }

    fn finish(key: String, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            if values.first().is_none_or(|v| v.parse::<i64>().is_err()) {
                return Err("for 'Gt', 'Lt' operators, the value must be an integer".into());
            }
        }
        for v in &values {
            check_value(&key, v)?;
        }
        values.sort();
        values.dedup();
        Ok(Requirement { key, operator, values })
    }

    fn name_like(s: &str) -> bool {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = s.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    }

    const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

    fn check_key(key: &str) -> Result<(), String> {
        let name = key.split_once('/').map_or(key, |(_, n)| n);
        if !name_like(name) {
            return Err(format!("unable to parse requirement: key: Invalid value: {key:?}: {NAME_RULE}"));
        }
        if name.len() > 63 {
            return Err(format!("unable to parse requirement: key: Invalid value: {key:?}: name part must be no more than 63 bytes"));
        }
        Ok(())
    }

    fn check_value(key: &str, value: &str) -> Result<(), String> {
        if value.len() > 63 {
            return Err(format!("unable to parse requirement: values[0][{key}]: Invalid value: {value:?}: must be no more than 63 bytes"));
        }
        if !value.is_empty() && !name_like(value) {
            return Err(format!("unable to parse requirement: values[0][{key}]: Invalid value: {value:?}: {VALUE_RULE}"));
        }
        Ok(())
    }
}
