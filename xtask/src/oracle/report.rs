//! What was found, grouped: the most frequent signature first, each with its first example.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::compare::Difference;
use super::http::{Ask, Reply};

/// The longest part of a body that the report shows.
const SHOWN: usize = 1500;
/// So many kinds are named in a group.
const KINDS_SHOWN: usize = 5;

/// A request with what it is about.
pub(crate) struct Case {
    /// What it does, e.g. `create`.
    pub verb: String,
    /// The kind that it does it to; empty where there is none.
    pub kind: String,
    /// The seed and what was changed in it.
    pub label: String,
    pub ask: Ask,
}

impl Group {
    fn named(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(String::as_str).filter(|k| !k.is_empty()).take(KINDS_SHOWN).collect();
        let more = self.kinds.len().saturating_sub(KINDS_SHOWN);
        match (kinds.is_empty(), more) {
            (true, _) => String::new(),
            (_, 0) => format!("  ({})", kinds.join(", ")),
            _ => format!("  ({} and {more} more)", kinds.join(", ")),
        }
    }
}

/// What a comparison came to.
#[derive(Default)]
pub(crate) struct Report {
    pub asked: usize,
    pub alike: usize,
    /// Suite by suite: its name, and `asked` and `alike` when it began.
    suites: Vec<(String, usize, usize)>,
    found: BTreeMap<String, Group>,
    /// Each case that differs, as a line of JSON.
    cases: String,
}

struct Group {
    times: usize,
    /// Kinds that show it.
    kinds: BTreeSet<String>,
    example: String,
}

impl Report {
    /// Takes one request and its differences in. `verb` is what the request does, `kind` what to: it does not make a group.
    pub(crate) fn take(&mut self, case: &Case, replies: (&Reply, &Reply), differences: Vec<Difference>) {
        self.asked += 1;
        if differences.is_empty() {
            self.alike += 1;
        }
        if !differences.is_empty() {
            let _ = writeln!(self.cases, "{}", line(case, replies, &differences));
        }
        for d in differences {
            let empty = || Group { times: 0, kinds: BTreeSet::new(), example: example(case, replies, &d) };
            let group = self.found.entry(format!("{}: {}", case.verb, d.signature)).or_insert_with(empty);
            group.times += 1;
            group.kinds.insert(case.kind.clone());
        }
    }

    /// Every case that differs, a line of JSON each.
    pub(crate) fn cases(&self) -> &str {
        &self.cases
    }

    /// What follows belongs to this suite.
    pub(crate) fn begin(&mut self, suite: &str) {
        self.suites.push((suite.to_owned(), self.asked, self.alike));
    }

    /// A line a suite: how much of it is answered alike.
    pub(crate) fn shares(&self) -> String {
        let ends = self.suites.iter().skip(1).map(|s| (s.1, s.2)).chain([(self.asked, self.alike)]);
        self.suites.iter().zip(ends).fold(String::new(), |mut out, ((name, asked, alike), (asked_then, alike_then))| {
            let (asked, alike) = (asked_then - asked, alike_then - alike);
            if asked > 0 {
                let tenths = alike * 1000 / asked;
                let _ = writeln!(out, "{name}: {alike} of {asked} alike, {}.{} %", tenths / 10, tenths % 10);
            }
            out
        })
    }

    /// Adds a finding that is not about one request.
    pub(crate) fn note(&mut self, subject: &str, difference: &Difference) {
        let group = Group { times: 0, kinds: BTreeSet::new(), example: format!("    {}\n", difference.detail) };
        self.found.entry(format!("{subject}: {}", difference.signature)).or_insert(group).times += 1;
    }

    /// How many different ones there are.
    pub(crate) fn groups(&self) -> usize {
        self.found.len()
    }

    fn sorted(&self) -> Vec<(&String, &Group)> {
        let mut all: Vec<_> = self.found.iter().collect();
        all.sort_by(|a, b| b.1.times.cmp(&a.1.times).then(a.0.cmp(b.0)));
        all
    }

    /// A line a group.
    pub(crate) fn summary(&self) -> String {
        self.sorted().iter().fold(String::new(), |mut out, (signature, g)| {
            let _ = writeln!(out, "{:5}  {signature}{}", g.times, g.named());
            out
        })
    }

    /// The same with examples.
    pub(crate) fn whole(&self) -> String {
        self.sorted().iter().fold(String::new(), |mut out, (signature, g)| {
            let _ = writeln!(out, "{:5}  {signature}{}\n{}", g.times, g.named(), g.example);
            out
        })
    }
}

fn line(case: &Case, (kube, timonel): (&Reply, &Reply), differences: &[Difference]) -> serde_json::Value {
    let told = |r: &Reply| serde_json::json!({"code": r.code, "body": String::from_utf8_lossy(&r.body)});
    let Case { verb, label, ask, .. } = case;
    serde_json::json!({
        "verb": verb, "label": label, "method": ask.method, "path": ask.path, "sent": String::from_utf8_lossy(&ask.body),
        "differences": differences.iter().map(|d| [&d.signature, &d.detail]).collect::<Vec<_>>(),
        "kube": told(kube), "ours": told(timonel),
    })
}

fn example(case: &Case, (kube, timonel): (&Reply, &Reply), d: &Difference) -> String {
    let Case { label, ask, .. } = case;
    let short = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(SHOWN)]).into_owned();
    format!(
        "    {label}\n    {}\n  > {} {}\n  > {}\n  kube {} {}\n  ours {} {}\n",
        d.detail, ask.method, ask.path, short(&ask.body), kube.code, short(&kube.body).trim_end(), timonel.code, short(&timonel.body).trim_end(),
    )
}
