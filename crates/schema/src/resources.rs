//! Every resource of every group-version with its verbs, names, categories, storage version and subresources
//! (`data/resources.txt`): what discovery answers and what the registry serves.

use std::collections::HashMap;
use std::sync::OnceLock;

/// How mature a group-version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stability {
    /// Off by default.
    Alpha,
    /// Off by default.
    Beta,
    /// On by default.
    Ga,
}

/// A resource in one group-version.
#[derive(Debug)]
pub struct Resource {
    /// API group, empty for core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Plural name, as in URLs.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Definition name of the object's type.
    pub type_name: &'static str,
    /// Definition name of the list's type; empty for those that cannot be listed.
    pub list_type_name: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether the group-version is on by default.
    pub served_by_default: bool,
    /// Whether this version is its group's preferred one.
    pub preferred_version: bool,
    /// How mature it is.
    pub stability: Stability,
    /// Verbs, sorted.
    pub verbs: Vec<&'static str>,
    /// Short names.
    pub short_names: Vec<&'static str>,
    /// Categories such as `all`.
    pub categories: Vec<&'static str>,
    /// `groupPriorityMinimum` of its API service.
    pub group_priority_minimum: Option<u32>,
    /// `versionPriority` of its API service.
    pub version_priority: Option<u32>,
    /// Group and version that is stored.
    pub storage_version: Option<(&'static str, &'static str)>,
    /// The hash that discovery shows for it.
    pub storage_version_hash: &'static str,
    /// Field labels that selectors may use.
    pub field_selectors: Vec<&'static str>,
    /// Field labels that stand for another one.
    pub field_selector_aliases: Vec<(&'static str, &'static str)>,
    /// Subresources by name.
    pub subresources: Vec<Subresource>,
}

/// A subresource.
#[derive(Debug)]
pub struct Subresource {
    /// Its name, such as `status`.
    pub name: &'static str,
    /// Group of its kind.
    pub group: &'static str,
    /// Version of its kind.
    pub version: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Verbs, sorted.
    pub verbs: Vec<&'static str>,
}

impl Resource {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The type of its objects.
    pub fn ty(&self) -> Option<&'static crate::Type> {
        crate::types().by_name(self.type_name)
    }

    /// The type of its lists.
    pub fn list_ty(&self) -> Option<&'static crate::Type> {
        crate::types().by_name(self.list_type_name)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }
}

/// The table of resources.
pub struct Resources {
    rows: Vec<Resource>,
    by_gvr: HashMap<(&'static str, &'static str, &'static str), usize>,
    by_gvk: HashMap<(&'static str, &'static str, &'static str), usize>,
}

impl Resources {
    /// The resource of that group, version and plural name.
    pub fn by_gvr(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.by_gvr.get(&(group, version, plural)).map(|&at| &self.rows[at])
    }

    /// The resource whose objects have that group, version and kind.
    pub fn by_gvk(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.by_gvk.get(&(group, version, kind)).map(|&at| &self.rows[at])
    }

    /// Every resource, by group and version.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Resource> {
        self.rows.iter()
    }
}

/// The table of resources, indexed on first use.
pub fn resources() -> &'static Resources {
    static TABLE: OnceLock<Resources> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rows = parse(include_str!("../data/resources.txt"));
        let by_gvr = rows.iter().enumerate().map(|(at, r)| ((r.group, r.version, r.plural), at)).collect();
        let by_gvk = rows.iter().enumerate().map(|(at, r)| ((r.group, r.version, r.kind), at)).collect();
        Resources { rows, by_gvr, by_gvk }
    })
}

fn list(text: &'static str) -> Vec<&'static str> {
    text.split(',').filter(|part| !part.is_empty()).collect()
}

fn parse(text: &'static str) -> Vec<Resource> {
    let mut rows: Vec<Resource> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('=') {
            Some(line) => rows.push(resource(&line.split('\t').collect::<Vec<_>>())),
            None => {
                let c: Vec<_> = line.split('\t').collect();
                let sub = Subresource { name: c[0], group: c[1], version: c[2], kind: c[3], verbs: list(c[4]) };
                rows.last_mut().expect("a resource line comes first").subresources.push(sub);
            }
        }
    }
    rows
}

fn resource(c: &[&'static str]) -> Resource {
    Resource {
        group: c[0],
        version: c[1],
        plural: c[2],
        singular: c[3],
        kind: c[4],
        type_name: c[5],
        list_type_name: c[6],
        namespaced: c[7].contains('N'),
        served_by_default: c[7].contains('D'),
        preferred_version: c[7].contains('P'),
        stability: match c[8] {
            "ga" => Stability::Ga,
            "beta" => Stability::Beta,
            _ => Stability::Alpha,
        },
        verbs: list(c[9]),
        short_names: list(c[10]),
        categories: list(c[11]),
        group_priority_minimum: c[12].parse().ok(),
        version_priority: c[13].parse().ok(),
        storage_version: c[14].split_once('/'),
        storage_version_hash: c[15],
        field_selectors: list(c[16]),
        field_selector_aliases: list(c[17]).into_iter().filter_map(|pair| pair.split_once('=')).collect(),
        subresources: Vec::new(),
    }
}
