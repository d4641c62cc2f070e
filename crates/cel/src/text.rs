//! Texts that are looked at or owned, and base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text, seen or owned.
#[derive(Clone)]
pub enum Text<'a> {
    Ref(&'a str),
    Own(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Ref(s) => s,
            Self::Own(s) => s,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

pub(crate) fn from_base64(s: &str) -> Option<Vec<u8>> {
    STANDARD.decode(s).or_else(|_| STANDARD_NO_PAD.decode(s)).ok()
}

pub(crate) fn to_base64(b: &[u8]) -> String {
    STANDARD.encode(b)
}
