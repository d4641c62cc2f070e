//! What the tests of this crate share: whether the machine lets them.

/// Whether pods can be networked here; otherwise says by name what is skipped and why.
pub(crate) fn is_able(test: &str) -> bool {
    match crate::probe().into_iter().find(|m| m.fatal) {
        None => true,
        Some(m) => {
            println!("SKIP {test}: {}: {}", m.what, m.why);
            false
        }
    }
}
