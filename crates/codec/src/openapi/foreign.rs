//! What an aggregated server publishes, as a part of our v2 document: the paths of its group-version, the definitions that
//! they need, under other names where ours mean something else. Docs: "Kubernetes API Aggregation Layer".

use super::definition::definition;
use super::sink::V2;
use super::swagger;
use super::text::Descriptions;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// References to definitions begin so.
const DEFINITIONS: &str = "#/definitions/";
/// A definition that is another one under a name that is taken gets a number up to this behind it.
const NAMES_MAX: usize = 100;

/// What is merged of one server's document.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    paths: Map<String, Value>,
    definitions: Map<String, Value>,
    parameters: Map<String, Value>,
}

impl Foreign {
    /// Takes what is about the group-version out of a v2 document (as JSON); `None` when it is none.
    #[must_use]
    pub fn read(document: &[u8], group: &str, version: &str) -> Option<Self> {
        let mut tree: Value = serde_json::from_slice(document).ok().filter(|t: &Value| t["swagger"] == "2.0")?;
        let mut take = |name: &str| match tree[name].take() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let (mut paths, mut definitions, parameters) = (take("paths"), take("definitions"), take("parameters"));
        let (own, about) = (format!("/apis/{group}/{version}/"), format!("/apis/{group}/"));
        paths.retain(|path, _| *path == about || path.starts_with(&own));
        let mut wanted = BTreeSet::new();
        paths.values().chain(parameters.values()).for_each(|item| references(item, &mut wanted));
        let mut open: Vec<String> = wanted.iter().cloned().collect();
        while let Some(name) = open.pop() {
            let mut found = BTreeSet::new();
            references(definitions.get(&name).unwrap_or(&Value::Null), &mut found);
            open.extend(found.into_iter().filter(|n| wanted.insert(n.clone())));
        }
        definitions.retain(|name, _| wanted.contains(name));
        Some(Self { paths, definitions, parameters })
    }

    /// Settles several servers' documents beside ours: of a path the first one's stands, a definition that says the same
    /// as one before it is left out, and one that says something else gets a name of its own.
    #[must_use]
    pub fn settled(all: &[&Self]) -> Vec<Self> {
        let texts = Descriptions::unpack(true);
        let ours = |name: &str| schema::types().by_name(name).map(|ty| bare(&swagger::definition(&definition(ty, &texts, None))));
        let (mut paths, mut known) = (BTreeSet::new(), BTreeMap::new());
        let mut settle = |one: &Self| {
            let mut names = BTreeMap::new();
            let mut fresh = BTreeSet::new();
            for (name, tree) in &one.definitions {
                let said = bare(tree);
                let free = (1..NAMES_MAX).map(|n| if n == 1 { name.clone() } else { format!("{name}_v{n}") });
                for candidate in free {
                    let other = known.get(&candidate).cloned().or_else(|| ours(&candidate));
                    if other.as_ref().is_none_or(|o| *o == said) {
                        if other.is_none() {
                            known.insert(candidate.clone(), said.clone());
                            fresh.insert(name.clone());
                        }
                        names.insert(name.clone(), candidate);
                        break;
                    }
                }
            }
            let each = |map: &Map<String, Value>| map.iter().map(|(k, v)| (k.clone(), renamed(v, &names))).collect::<Map<_, _>>();
            let mut definitions = Map::new();
            for (name, tree) in one.definitions.iter().filter(|(n, _)| fresh.contains(*n)) {
                definitions.insert(names[name].clone(), renamed(tree, &names));
            }
            let mut own = each(&one.paths);
            own.retain(|path, _| paths.insert(path.clone()));
            Self { paths: own, definitions, parameters: each(&one.parameters) }
        };
        all.iter().map(|one| settle(one)).collect()
    }

    pub(super) fn write(&self, sink: &mut V2<'_>) -> io::Result<()> {
        self.paths.iter().try_for_each(|(name, item)| sink.put_path(name, item))?;
        self.definitions.iter().try_for_each(|(name, tree)| sink.put_definition(name, tree))?;
        sink.shared.extend(self.parameters.clone());
        Ok(())
    }
}

/// What a definition says without its sentences and without whose kind it is.
fn bare(tree: &Value) -> Value {
    match tree {
        Value::Object(map) => {
            let kept = map.iter().filter(|(k, v)| !(*k == "description" && v.is_string()) && *k != "x-kubernetes-group-version-kind");
            kept.map(|(k, v)| (k.clone(), bare(v))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(bare).collect(),
        other => other.clone(),
    }
}

fn references(tree: &Value, found: &mut BTreeSet<String>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str().filter(|_| key == "$ref").and_then(|r| r.strip_prefix(DEFINITIONS)) {
                    Some(name) => drop(found.insert(name.to_owned())),
                    None => references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

fn renamed(tree: &Value, names: &BTreeMap<String, String>) -> Value {
    match tree {
        Value::Object(map) => {
            let each = map.iter().map(|(key, value)| {
                let target = value.as_str().filter(|_| key == "$ref").and_then(|r| names.get(r.strip_prefix(DEFINITIONS)?));
                (key.clone(), target.map_or_else(|| renamed(value, names), |t| format!("{DEFINITIONS}{t}").into()))
            });
            each.collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(|v| renamed(v, names)).collect(),
        other => other.clone(),
    }
}
