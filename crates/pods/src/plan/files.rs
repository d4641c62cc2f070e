//! The files of ConfigMap, Secret, downward API and projected volumes: which path gets which bytes with which mode
//! (docs: "Projected volumes", "ConfigMaps", "Secrets"). Writing them atomically is the hands' work.

use super::downward::{self, Addresses};
use crate::facts::{Facts, World};
use crate::roster;
use kinds::api::core::v1::{Container, DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource};
use std::collections::BTreeMap;

/// The shortest life of a token that may be asked for.
pub const TOKEN_EXPIRATION_DEFAULT_S: i64 = 3600;
const MODE_DEFAULT: i32 = 0o644;

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// A token of the pod's service account, which the hands request.
    Token { audience: Option<String>, expiration_s: i64 },
}

/// One file of a volume, by its path below the volume's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    pub path: String,
    pub content: Content,
    pub mode: u32,
    /// The owner, where it is not root.
    pub uid: Option<i64>,
}

/// What a volume's files are made from.
pub struct Scope<'a> {
    pub pod: &'a Pod,
    pub addresses: &'a Addresses<'a>,
    pub facts: &'a Facts,
    pub world: &'a dyn World,
}

type Data = BTreeMap<String, Vec<u8>>;

fn entry(path: &str, bytes: Vec<u8>, mode: i32) -> FileEntry {
    let mode = u32::try_from(mode).unwrap_or(0o644) & 0o777;
    FileEntry { path: path.to_owned(), content: Content::Bytes(bytes), mode, uid: None }
}

fn pick(data: &Data, items: Option<&Vec<KeyToPath>>, mode: i32, optional: bool, what: &str) -> Result<Vec<FileEntry>, String> {
    let Some(items) = items.filter(|i| !i.is_empty()) else {
        return Ok(data.iter().map(|(k, v)| entry(k, v.clone(), mode)).collect());
    };
    let mut files = Vec::new();
    for item in items {
        match data.get(&item.key) {
            Some(v) => files.push(entry(&item.path, v.clone(), item.mode.unwrap_or(mode))),
            None if optional => {}
            None => return Err(format!("references non-existent {what} key: {}", item.key)),
        }
    }
    Ok(files)
}

impl Scope<'_> {
    /// The files of a ConfigMap.
    ///
    /// # Errors
    /// The reason of a `FailedMount`.
    pub fn config_map(
        &self,
        name: &str,
        items: Option<&Vec<KeyToPath>>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<Vec<FileEntry>, String> {
        let optional = optional == Some(true);
        let Some(map) = self.world.config_map(roster::namespace(self.pod), name) else {
            return if optional { Ok(Vec::new()) } else { Err(format!("configmap \"{name}\" not found")) };
        };
        let mut data: Data = map.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes())).collect();
        data.extend(map.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())));
        pick(&data, items, mode.unwrap_or(MODE_DEFAULT), optional, "config")
    }

    /// The files of a Secret.
    ///
    /// # Errors
    /// The reason of a `FailedMount`.
    pub fn secret(
        &self,
        name: &str,
        items: Option<&Vec<KeyToPath>>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<Vec<FileEntry>, String> {
        let optional = optional == Some(true);
        let Some(secret) = self.world.secret(roster::namespace(self.pod), name) else {
            return if optional { Ok(Vec::new()) } else { Err(format!("secret \"{name}\" not found")) };
        };
        let data: Data = secret.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        pick(&data, items, mode.unwrap_or(MODE_DEFAULT), optional, "secret")
    }

    /// The files of the downward API.
    ///
    /// # Errors
    /// The reason of a `FailedMount`.
    pub fn downward(&self, items: &[DownwardAPIVolumeFile], mode: Option<i32>) -> Result<Vec<FileEntry>, String> {
        let none = Container::default();
        let mut files = Vec::new();
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(f), _) => downward::field(f, self.pod, self.addresses, self.facts)?,
                (_, Some(r)) => downward::resource(r, self.pod, &none, self.facts)?,
                _ => String::new(),
            };
            files.push(entry(&item.path, value.into_bytes(), item.mode.or(mode).unwrap_or(MODE_DEFAULT)));
        }
        Ok(files)
    }

    /// The files of a projected volume.
    ///
    /// # Errors
    /// The reasons of a `FailedMount`, joined.
    pub fn projected(&self, source: &ProjectedVolumeSource) -> Result<Vec<FileEntry>, String> {
        let mode = source.default_mode;
        let (mut files, mut wrong) = (Vec::new(), Vec::new());
        for s in source.sources.iter().flatten() {
            let made = if let Some(c) = &s.config_map {
                self.config_map(&c.name, c.items.as_ref(), mode, c.optional)
            } else if let Some(c) = &s.secret {
                self.secret(&c.name, c.items.as_ref(), mode, c.optional)
            } else if let Some(d) = &s.downward_api {
                self.downward(d.items.as_deref().unwrap_or_default(), mode)
            } else if let Some(t) = &s.service_account_token {
                Ok(vec![self.token(&t.path, t.audience.clone(), t.expiration_seconds, mode)])
            } else if s.cluster_trust_bundle.is_some() {
                Err("ClusterTrustBundle projection is not supported in static kubelet mode".to_owned())
            } else {
                Err("pod certificate projection is not enabled".to_owned())
            };
            match made {
                Ok(more) => files.extend(more),
                Err(e) => wrong.push(e),
            }
        }
        match wrong.len() {
            0 => Ok(files),
            1 => Err(wrong.remove(0)),
            _ => Err(format!("[{}]", wrong.join(", "))),
        }
    }

    /// A token is readable by the pod's one user and its fsGroup, or by all.
    fn token(&self, path: &str, audience: Option<String>, expiration_s: Option<i64>, mode: Option<i32>) -> FileEntry {
        let spec = roster::spec(self.pod);
        let whole = spec.security_context.clone().unwrap_or_default();
        let users: Vec<Option<i64>> = roster::init(self.pod)
            .chain(roster::apps(self.pod))
            .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(whole.run_as_user))
            .collect();
        let same = users.first().copied().flatten().filter(|u| users.iter().all(|v| *v == Some(*u)));
        let default = mode.unwrap_or(MODE_DEFAULT);
        let (mode, uid) = match (whole.fs_group, same) {
            (None, None) => (default, None),
            // An fsGroup gets its right to read on top.
            (_, owner) => (0o600, owner),
        };
        let expiration_s = expiration_s.unwrap_or(TOKEN_EXPIRATION_DEFAULT_S);
        let audience = audience.filter(|a| !a.is_empty());
        let mode = u32::try_from(mode).unwrap_or(0o644);
        FileEntry { path: path.to_owned(), content: Content::Token { audience, expiration_s }, mode, uid }
    }
}
