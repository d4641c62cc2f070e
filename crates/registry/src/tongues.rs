//! The other versions of an object, for owners that know its fields by those: by functions for kinds that are built in, by
//! name alone for custom resources, or by a conversion webhook, which is asked between two attempts.
//!
//! ```text
//!   settle ──needs an answer──> wanted ──ask──> answers ──settle again──> done
//! ```

use crate::registry::Registry;
use cache::Snapshot;
use kinds::{ApiError, Kind, Resource};
use parking_lot::Mutex;
use patch::Shape;
use patch::apply::Versions;
use rules::customs::Definition;
use serde_json::Value;
use std::collections::HashMap;

/// How often answers may lead to further questions; each version of an object is asked for once or twice.
const ROUNDS_MAX: usize = 64;

/// The versions of one resource.
pub(crate) struct Tongues<'a> {
    /// The stored kind, of what is built in.
    kind: Option<Kind>,
    definition: Option<&'a Definition>,
    /// What a webhook made of an object, by the object's text and the version.
    answers: Mutex<HashMap<(String, String), Value>>,
    wanted: Mutex<Vec<(Value, String)>>,
    rounds: Mutex<usize>,
}

impl std::fmt::Debug for Tongues<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tongues({:?})", self.kind)
    }
}

impl<'a> Tongues<'a> {
    pub(crate) fn new(kind: Option<Kind>, definition: Option<&'a Definition>) -> Self {
        Self {
            kind: kind.map(Kind::stored_as),
            definition,
            answers: Mutex::default(),
            wanted: Mutex::default(),
            rounds: Mutex::default(),
        }
    }

    /// The kind of that version which is stored as ours.
    fn kind_at(&self, version: &str) -> Option<Kind> {
        let stored = self.kind?;
        Kind::ALL.iter().copied().find(|k| k.stored_as() == stored && k.api_version() == version)
    }

    /// Not into another group: as kube-apiserver sees it, owners there own nothing here.
    fn built_in(&self, object: &Value, to: &str) -> Option<Value> {
        let (from, to) = (self.kind_at(object["apiVersion"].as_str()?)?, self.kind_at(to)?);
        if from.info().group != to.info().group {
            return None;
        }
        let spoken = codec::from_value(&Resource::Builtin(from), object.clone()).ok()?;
        let stored = if from == from.stored_as() { spoken } else { rules::convert::to_stored(spoken).ok()? };
        let turned = if to == to.stored_as() { stored } else { rules::convert::to_served(to, stored).ok()? };
        Some(codec::to_value(&turned))
    }

    fn custom(&self, definition: &Definition, object: &Value, to: &str) -> Option<Value> {
        let (group, name) = to.rsplit_once('/')?;
        let version = definition.versions.iter().find(|v| v.name == name && definition.group == group)?;
        if definition.by_webhook {
            let key = (object.to_string(), to.to_owned());
            let known = self.answers.lock().get(&key).cloned();
            if known.is_none() {
                self.wanted.lock().push((object.clone(), to.to_owned()));
            }
            return known;
        }
        let mut turned = object.clone();
        turned["apiVersion"] = to.into();
        let body = turned.as_object_mut()?;
        let metadata = body.remove("metadata");
        rules::customs::prune(&version.schema, body);
        body.insert("apiVersion".into(), to.into());
        body.insert("kind".into(), object["kind"].clone());
        body.extend(metadata.map(|m| ("metadata".to_owned(), m)));
        Some(turned)
    }

    /// Whether an answer is missing.
    pub(crate) fn wants(&self) -> bool {
        !self.wanted.lock().is_empty()
    }

    /// Asks the webhook what was wanted since; whether there was anything, so that what came of it does not count.
    pub(crate) async fn ask(&self, registry: &Registry, snapshot: &Snapshot, resource: &Resource) -> Result<bool, ApiError> {
        let wanted = std::mem::take(&mut *self.wanted.lock());
        if wanted.is_empty() {
            return Ok(false);
        }
        for (tree, to) in wanted {
            *self.rounds.lock() += 1;
            if *self.rounds.lock() > ROUNDS_MAX {
                return Err(ApiError::internal("conversions of field owners come to no end"));
            }
            let key = (tree.to_string(), to);
            let object = codec::from_value(resource, tree).map_err(ApiError::internal)?;
            let turned = registry.convert_at(snapshot, resource, vec![object], &key.1).await?;
            if let Some(object) = turned.first() {
                self.answers.lock().insert(key, codec::to_value(object));
            }
        }
        Ok(true)
    }
}

impl Versions for Tongues<'_> {
    fn turned(&self, object: &Value, to: &str) -> Option<Value> {
        match self.definition {
            Some(definition) => self.custom(definition, object, to),
            None => self.built_in(object, to),
        }
    }

    fn shape(&self, version: &str) -> Shape<'_> {
        match self.definition {
            Some(definition) => crate::fieldowners::shape(None, Some(definition.version(version))),
            None => crate::fieldowners::shape(self.kind_at(version), None),
        }
    }
}
