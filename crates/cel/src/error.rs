//! What is wrong with an expression (issues, shown as cel-go shows them: place, line, caret) and what went wrong while one ran.

use std::fmt;

/// One complaint about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Where, in bytes.
    pub at: u32,
    /// What.
    pub text: String,
}

impl Issue {
    pub(crate) fn new(at: u32, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    /// The complaint with the line it is about and a caret under the place.
    #[must_use]
    pub fn shown(&self, source: &str) -> String {
        let mut at = (self.at as usize).min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        let before = &source[..at];
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        let (line, column) = (before.matches('\n').count() + 1, before[start..].chars().count());
        let text = source[start..].split('\n').next().unwrap_or_default().replace('\t', " ");
        format!("ERROR: <input>:{line}:{}: {}\n | {text}\n | {}^", column + 1, self.text, ".".repeat(column))
    }
}

/// Why an expression was not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The complaints.
    pub issues: Vec<Issue>,
    source: String,
}

impl CompileError {
    pub(crate) fn new(source: &str, mut issues: Vec<Issue>) -> Self {
        issues.sort_by_key(|i| i.at);
        Self { issues, source: source.to_owned() }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.issues.iter().map(|i| i.shown(&self.source)).collect();
        f.write_str(&shown.join("\n"))
    }
}

impl std::error::Error for CompileError {}

/// Why an evaluation came to no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// An error of the language, absorbed by `||`, `&&` and loops where they do not need the value.
    Failed(String),
    /// The budget is used up; nothing absorbs this.
    OverBudget,
}

impl EvalError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
    pub(crate) fn overload() -> Self {
        Self::new("no such overload")
    }
    /// Whether the budget ran out.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        *self == Self::OverBudget
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) => f.write_str(text),
            Self::OverBudget => f.write_str("operation cancelled: actual cost limit exceeded"),
        }
    }
}

impl std::error::Error for EvalError {}
