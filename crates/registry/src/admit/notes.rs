//! What is told about a request beside its answer: warnings for its client, annotations for the audit log. They count
//! whether the request succeeds or not.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Warnings kept for one request; what a client reads is bounded anyway.
const WARNINGS_MAX: usize = 256;
/// Annotations kept for one request.
const ANNOTATIONS_MAX: usize = 256;

/// The notes of one request.
#[derive(Debug, Default)]
pub struct Notes {
    warnings: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, String>>,
}

impl Notes {
    /// Warns the client, once a text.
    pub fn warn(&self, text: impl Into<String>) {
        let (text, mut all) = (text.into(), self.warnings.lock());
        if !text.is_empty() && all.len() < WARNINGS_MAX && !all.contains(&text) {
            all.push(text);
        }
    }

    /// Annotates the audit event; a key that has a value keeps it.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        let mut all = self.annotations.lock();
        if all.len() < ANNOTATIONS_MAX {
            all.entry(key.into()).or_insert_with(|| value.into());
        }
    }

    /// The warnings so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    /// The annotations so far.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.lock().clone()
    }
}
