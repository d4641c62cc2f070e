//! The feature gates of v1.36 with their stages and history (`data/features.txt`).

use std::sync::OnceLock;

/// The stage of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Off by default, may vanish.
    Alpha,
    /// Usually on by default.
    Beta,
    /// On.
    Ga,
    /// On its way out.
    Deprecated,
}

/// One step of a gate's history.
#[derive(Clone, Copy, Debug)]
pub struct Milestone {
    /// Minor release, such as `1.33`.
    pub version: &'static str,
    /// Stage from then on.
    pub stage: Stage,
    /// Default from then on.
    pub default: bool,
    /// Whether the default is fixed from then on.
    pub locked: bool,
}

/// A feature gate.
#[derive(Debug)]
pub struct Feature {
    /// Name.
    pub name: &'static str,
    /// Whether it is on by default.
    pub default: bool,
    /// Whether it cannot be changed.
    pub locked: bool,
    /// Whether it is one of the two group switches.
    pub meta: bool,
    /// Whether it is a gate of the client library.
    pub client: bool,
    /// Current stage.
    pub stage: Stage,
    /// Release of the current stage.
    pub since: &'static str,
    /// All stages, oldest first.
    pub history: Vec<Milestone>,
}

/// Every feature gate, sorted by name.
pub fn features() -> &'static [Feature] {
    static TABLE: OnceLock<Vec<Feature>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("../data/features.txt").lines().map(feature).collect())
}

fn stage(name: &str) -> Stage {
    match name {
        "Alpha" => Stage::Alpha,
        "Beta" => Stage::Beta,
        "GA" => Stage::Ga,
        _ => Stage::Deprecated,
    }
}

fn feature(line: &'static str) -> Feature {
    let c: Vec<&'static str> = line.split('\t').collect();
    let history = c[4].split(',').filter_map(|step| {
        let mut parts = step.split('/');
        let (version, name, flags) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Milestone { version, stage: stage(name), default: flags.contains('D'), locked: flags.contains('L') })
    });
    Feature {
        name: c[0],
        default: c[1].contains('D'),
        locked: c[1].contains('L'),
        meta: c[1].contains('M'),
        client: c[1].contains('C'),
        stage: stage(c[2]),
        since: c[3],
        history: history.collect(),
    }
}
