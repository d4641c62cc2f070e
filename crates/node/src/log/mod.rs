//! Container logs in the CRI format: `2026-11-21T08:00:00.000000000Z stdout F text`.

pub(crate) mod parse;
pub(crate) mod read;
pub(crate) mod rotate;

#[cfg(test)]
mod tests;
