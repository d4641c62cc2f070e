//! Query strings.

/// Percent-encodes a text for a query.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A query of pairs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a pair.
    #[must_use]
    pub(crate) fn and(mut self, key: &str, value: &str) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(&format!("{}={}", escape(key), escape(value)));
        self
    }

    /// Adds a pair unless its value is empty.
    #[must_use]
    pub(crate) fn and_some(self, key: &str, value: Option<&str>) -> Self {
        match value.filter(|v| !v.is_empty()) {
            Some(value) => self.and(key, value),
            None => self,
        }
    }

    /// Adds a pair if a condition holds.
    #[must_use]
    pub(crate) fn when(self, condition: bool, key: &str, value: &str) -> Self {
        if condition { self.and(key, value) } else { self }
    }

    /// The query with its question mark, or nothing.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
