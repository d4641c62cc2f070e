//! The lines in which two values differ, for messages that show why a change is refused.

use std::fmt::Debug;

/// A diff in a message is cut off after this many lines.
const LINES_MAX: usize = 60;

/// Old lines with a minus, new lines with a plus, in the manner of a unified diff.
pub(crate) fn lines(old: &impl Debug, new: &impl Debug) -> String {
    let (a, b) = (format!("{old:#?}"), format!("{new:#?}"));
    let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let old = a[head..a.len() - tail].iter().map(|l| format!("-{l}"));
    let new = b[head..b.len() - tail].iter().map(|l| format!("+{l}"));
    let lines: Vec<String> = old.chain(new).take(LINES_MAX).collect();
    format!("@@ -{},{} +{},{} @@\n{}\n", head + 1, a.len() - tail - head, head + 1, b.len() - tail - head, lines.join("\n"))
}
