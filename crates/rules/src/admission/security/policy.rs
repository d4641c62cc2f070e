//! What a namespace demands of its pods: the labels, and what the installation says where there are none.
//!
//! Docs: "Enforce Pod Security Standards with Namespace Labels", "Enforce Pod Security Standards by Configuring the Built-in
//! Admission Controller".

use kinds::api::core::v1::Namespace;
use kinds::{FieldErrors, Path};
use std::collections::BTreeMap;
use std::fmt;

pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";
const NO_LEVEL: &str = "must be one of privileged, baseline, restricted";
const NO_VERSION: &str = "must be \"latest\" or \"v1.x\"";

/// The levels, from everything allowed to almost nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    /// Reads a level.
    ///
    /// # Errors
    /// What a level must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(NO_LEVEL),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A minor version of the standard; `None` is the latest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(Option<u32>);

impl Version {
    /// Reads a version: `latest` or `v1.x`.
    ///
    /// # Errors
    /// What a version must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self(None));
        }
        let minor = text.strip_prefix("v1.").filter(|m| *m == "0" || !m.starts_with('0')).filter(|m| m.bytes().all(|b| b.is_ascii_digit()));
        minor.and_then(|m| m.parse().ok()).map(|m| Self(Some(m))).ok_or(NO_VERSION)
    }

    /// The minor version; the latest is later than any.
    #[must_use]
    pub fn minor(self) -> u32 {
        self.0.unwrap_or(u32::MAX)
    }
}

/// A level in a version of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.0 {
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.word()),
            None => write!(f, "{}:latest", self.level.word()),
        }
    }
}

/// The three modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub enforce: Demand,
    pub audit: Demand,
    pub warn: Demand,
}

impl Policy {
    /// What a namespace demands, and its labels that cannot be read: those enforce the strictest level, audit and warn of nothing.
    pub(super) fn of(ns: &Namespace, defaults: &Self) -> (Self, FieldErrors) {
        let (mut policy, mut errors) = (*defaults, FieldErrors::default());
        let Some(labels) = ns.metadata.labels.as_ref().filter(|l| l.keys().any(|k| k.starts_with(PREFIX))) else { return (policy, errors) };
        let enforced = read(labels, "enforce", &mut policy.enforce, Level::Restricted, &mut errors);
        read(labels, "audit", &mut policy.audit, Level::Privileged, &mut errors);
        read(labels, "warn", &mut policy.warn, Level::Privileged, &mut errors);
        // Who enforces a level without a word on warnings warns of it too, for what is no pod.
        let says = |key: &str| labels.contains_key(&format!("{PREFIX}{key}"));
        if enforced && !says("warn") && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !says("warn-version") {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    /// Whether nothing is demanded.
    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|d| d.level == Level::Privileged)
    }

    /// Whether the demands come to the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let alike = |a: Demand, b: Demand| a == b || (a.level, b.level) == (Level::Privileged, Level::Privileged);
        alike(self.enforce, other.enforce) && alike(self.audit, other.audit) && alike(self.warn, other.warn)
    }
}

/// Reads the labels of one mode. Returns whether there is a level that can be read.
fn read(labels: &BTreeMap<String, String>, mode: &str, demand: &mut Demand, wrong: Level, errors: &mut FieldErrors) -> bool {
    let mut found = false;
    let mut complain = |key: &str, value: &String, why| errors.invalid(&Path::new("metadata.labels").key(key), value, why);
    let key = format!("{PREFIX}{mode}");
    if let Some(value) = labels.get(&key) {
        let level = Level::parse(value);
        found = level.is_ok();
        demand.level = level.unwrap_or_else(|why| {
            complain(&key, value, why);
            wrong
        });
    }
    let key = format!("{PREFIX}{mode}-version");
    if let Some(value) = labels.get(&key) {
        demand.version = Version::parse(value).unwrap_or_else(|why| {
            complain(&key, value, why);
            Version::default()
        });
    }
    found
}

/// What the installation says (`PodSecurityConfiguration`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSecurity {
    /// Where a namespace says nothing.
    pub defaults: Policy,
    /// Whose requests, which namespaces and which runtime classes are not judged.
    pub usernames: Vec<String>,
    pub namespaces: Vec<String>,
    pub runtime_classes: Vec<String>,
}

impl PodSecurity {
    pub(super) fn exempts_namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|n| n == name)
    }

    /// Why a write is not judged.
    pub(super) fn exempts(&self, namespace: &str, user: &str, class: Option<&str>) -> Option<&'static str> {
        match () {
            () if self.exempts_namespace(namespace) => Some("namespace"),
            () if self.usernames.iter().any(|n| n == user) => Some("user"),
            () if class.is_some_and(|c| self.runtime_classes.iter().any(|n| n == c)) => Some("runtimeClass"),
            () => None,
        }
    }
}
