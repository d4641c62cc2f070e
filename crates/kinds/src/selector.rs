//! Label and field selectors: the query-string syntax, the `LabelSelector` struct, and matching.
//!
//! Docs: "Labels and Selectors", "Field Selectors".

mod grammar;

use crate::LabelSelector;
use crate::api::core::v1::NodeSelectorRequirement;
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
    /// That of a node selector; `None` for an operator that is not known.
    #[must_use]
    pub fn of_node(r: &NodeSelectorRequirement) -> Option<Self> {
        let operator = match r.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::GreaterThan,
            "Lt" => Operator::LessThan,
            _ => return None,
        };
        let mut values = r.values.clone().unwrap_or_default();
        values.sort();
        values.dedup();
        Some(Self { key: r.key.clone(), operator, values })
    }

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
        grammar::parse(text).map(Self::All)
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
/// The message Kubernetes gives for a term without an operator, or with a value whose special characters are bare.
pub fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    for part in split_escaped(text).iter().filter(|p| !p.is_empty()) {
        let (at, len, equal) =
            operator(part).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
        let (field, value) = (part[..at].to_owned(), unescape(&part[at + len..])?);
        // Nothing that is to be nothing is no demand.
        if !(field.is_empty() && value.is_empty()) {
            terms.push(FieldTerm { field, value, equal });
        }
    }
    Ok(terms)
}

/// The first operator that is not escaped: where, how long, and whether it means equality.
fn operator(part: &str) -> Option<(usize, usize, bool)> {
    let mut escaped = false;
    for (at, c) in part.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        escaped = c == '\\';
        let found = [("!=", false), ("==", true), ("=", true)].into_iter().find(|(o, _)| part[at..].starts_with(o));
        if let Some((operator, equal)) = found {
            return Some((at, operator.len(), equal));
        }
    }
    None
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

fn unescape(text: &str) -> Result<String, String> {
    let (mut out, mut letters) = (String::new(), text.chars());
    while let Some(c) = letters.next() {
        match c {
            '\\' => match letters.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                other => {
                    let bad = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{bad}"));
                }
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(c))),
            _ => out.push(c),
        }
    }
    Ok(out)
}
