//! Two texts line by line, as a unified diff with three lines around each change. What counts as the same is found as
//! Ratcliff and Obershelp describe it, and as the difflib of Python does it (kube-apiserver's follows that one): the longest
//! common block, then the same to its left and right; lines that are everywhere in a long text begin no block.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// From so many lines on, popular ones begin no block.
const LONG: usize = 200;

/// What happens to a block of lines: `a[from.0..to.0]` becomes `b[from.1..to.1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    same: bool,
    from: (usize, usize),
    to: (usize, usize),
}

/// The changes, with their places; nothing when there are none.
pub(super) fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    for group in groups(&steps(&a, &b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let _ = writeln!(out, "@@ -{} +{} @@", range(first.from.0, last.to.0), range(first.from.1, last.to.1));
        for s in group {
            let mut lines = |sign: char, list: &[&str]| {
                for l in list {
                    let _ = writeln!(out, "{sign}{l}");
                }
            };
            if s.same {
                lines(' ', &a[s.from.0..s.to.0]);
            } else {
                lines('-', &a[s.from.0..s.to.0]);
                lines('+', &b[s.from.1..s.to.1]);
            }
        }
    }
    out
}

fn range(from: usize, to: usize) -> String {
    match to - from {
        1 => (from + 1).to_string(),
        0 => format!("{from},0"),
        n => format!("{},{n}", from + 1),
    }
}

/// Places of each line of `b`, without the popular ones.
fn places<'a>(b: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut all: HashMap<&str, Vec<usize>> = HashMap::new();
    b.iter().enumerate().for_each(|(i, l)| all.entry(l).or_default().push(i));
    if b.len() >= LONG {
        let most = b.len() / 100 + 1;
        all.retain(|_, at| at.len() <= most);
    }
    all
}

/// The longest block that both have between these bounds: where it is in each, and how long.
fn longest(a: &[&str], b: &[&str], places: &HashMap<&str, Vec<usize>>, (alo, ahi, blo, bhi): (usize, usize, usize, usize)) -> (usize, usize, usize) {
    let (mut i, mut j, mut size) = (alo, blo, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (at, line) in a.iter().enumerate().take(ahi).skip(alo) {
        let mut next = HashMap::new();
        for &k in places.get(line).into_iter().flatten().filter(|k| (blo..bhi).contains(*k)) {
            let len = k.checked_sub(1).and_then(|p| lengths.get(&p)).copied().unwrap_or(0) + 1;
            next.insert(k, len);
            if len > size {
                (i, j, size) = (at + 1 - len, k + 1 - len, len);
            }
        }
        lengths = next;
    }
    // Popular lines join a block that stands.
    while i > alo && j > blo && a[i - 1] == b[j - 1] {
        (i, j, size) = (i - 1, j - 1, size + 1);
    }
    while i + size < ahi && j + size < bhi && a[i + size] == b[j + size] {
        size += 1;
    }
    (i, j, size)
}

fn steps(a: &[&str], b: &[&str]) -> Vec<Step> {
    let places = places(b);
    let (mut blocks, mut left) = (Vec::new(), vec![(0, a.len(), 0, b.len())]);
    while let Some(bounds) = left.pop() {
        let (alo, ahi, blo, bhi) = bounds;
        let (i, j, size) = longest(a, b, &places, bounds);
        if size > 0 {
            blocks.push((i, j, size));
            if alo < i && blo < j {
                left.push((alo, i, blo, j));
            }
            if i + size < ahi && j + size < bhi {
                left.push((i + size, ahi, j + size, bhi));
            }
        }
    }
    blocks.sort_unstable();
    blocks.push((a.len(), b.len(), 0));
    let (mut steps, mut at): (Vec<Step>, (usize, usize)) = (Vec::new(), (0, 0));
    for (i, j, size) in blocks {
        if at != (i, j) {
            steps.push(Step { same: false, from: at, to: (i, j) });
        }
        at = (i + size, j + size);
        match steps.last_mut() {
            // Blocks that touch are one.
            Some(last) if size > 0 && last.same && last.to == (i, j) => last.to = at,
            _ if size > 0 => steps.push(Step { same: true, from: (i, j), to: at }),
            _ => {}
        }
    }
    steps
}

/// Changes that are near one another, with what is around them.
fn groups(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut steps = steps.to_vec();
    let len = |s: &Step| s.to.0 - s.from.0;
    if let Some(first) = steps.first_mut().filter(|s| s.same) {
        let cut = len(first).saturating_sub(CONTEXT);
        first.from = (first.from.0 + cut, first.from.1 + cut);
    }
    if let Some(last) = steps.last_mut().filter(|s| s.same) {
        let cut = len(last).saturating_sub(CONTEXT);
        last.to = (last.to.0 - cut, last.to.1 - cut);
    }
    let (mut all, mut group): (Vec<Vec<Step>>, Vec<Step>) = (Vec::new(), Vec::new());
    for s in steps {
        if s.same && len(&s) > 2 * CONTEXT {
            group.push(Step { to: (s.from.0 + CONTEXT, s.from.1 + CONTEXT), ..s });
            all.push(std::mem::take(&mut group));
            group.push(Step { from: (s.to.0 - CONTEXT, s.to.1 - CONTEXT), ..s });
        } else {
            group.push(s);
        }
    }
    all.push(group);
    all.retain(|g| g.iter().any(|s| !s.same));
    all
}
