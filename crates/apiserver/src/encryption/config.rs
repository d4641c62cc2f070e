//! The file: `apiserver.config.k8s.io/v1` `EncryptionConfiguration`, read strictly.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::time::Duration;

/// The whole file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Configuration {
    api_version: String,
    kind: String,
    resources: Vec<Resources>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    resources: Vec<String>,
    providers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    aescbc: Option<Keys>,
    aesgcm: Option<Keys>,
    secretbox: Option<Keys>,
    identity: Option<Identity>,
    kms: Option<Kms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kms {
    api_version: Option<String>,
    name: String,
    endpoint: String,
    timeout: Option<String>,
    #[serde(rename = "cachesize")]
    cache_size: Option<i64>,
}

/// What one provider is made of.
#[derive(Debug)]
pub(super) enum Described {
    AesCbc(Vec<(String, Vec<u8>)>),
    AesGcm(Vec<(String, Vec<u8>)>),
    SecretBox(Vec<(String, Vec<u8>)>),
    Identity,
    Kms { name: String, socket: String, timeout: Duration },
}

impl Configuration {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tree = codec::yaml::parse(text).map_err(|e| e.to_string())?.value;
        let this: Self = serde_json::from_value(tree).map_err(|e| e.to_string())?;
        if this.kind != "EncryptionConfiguration" || this.api_version != "apiserver.config.k8s.io/v1" {
            return Err(format!("no kind {:?} is registered for version {:?}", this.kind, this.api_version));
        }
        for (i, r) in this.resources.iter().enumerate() {
            if r.resources.is_empty() {
                return Err(format!("resources[{i}].resources: Required value: provider config must contain at least one resource"));
            }
            if r.providers.is_empty() {
                return Err(format!("resources[{i}].providers: Required value: provider config must contain at least one provider"));
            }
            for (j, p) in r.providers.iter().enumerate() {
                p.describe().map_err(|e| format!("resources[{i}].providers[{j}]: {e}"))?;
            }
        }
        Ok(this)
    }

    pub(super) fn groups(&self) -> Vec<(Vec<String>, Vec<Described>)> {
        let described = |r: &Resources| r.providers.iter().filter_map(|p| p.describe().ok()).collect();
        self.resources.iter().map(|r| (r.resources.clone(), described(r))).collect()
    }
}

impl Entry {
    fn describe(&self) -> Result<Described, String> {
        let given = [self.aescbc.is_some(), self.aesgcm.is_some(), self.secretbox.is_some(), self.identity.is_some(), self.kms.is_some()];
        match given.iter().filter(|g| **g).count() {
            0 => return Err("Invalid value: provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity".into()),
            1 => {}
            _ => return Err("Invalid value: more than one provider specified in a single element, should split into different list elements".into()),
        }
        let aes: &[usize] = &[16, 24, 32];
        if let Some(k) = &self.aescbc {
            return Ok(Described::AesCbc(k.decode(aes)?));
        }
        if let Some(k) = &self.aesgcm {
            return Ok(Described::AesGcm(k.decode(aes)?));
        }
        if let Some(k) = &self.secretbox {
            return Ok(Described::SecretBox(k.decode(&[32])?));
        }
        if let Some(k) = &self.kms {
            return k.describe();
        }
        Ok(Described::Identity)
    }
}

impl Keys {
    fn decode(&self, sizes: &[usize]) -> Result<Vec<(String, Vec<u8>)>, String> {
        if self.keys.is_empty() {
            return Err("keys: Required value: at least one key is required".into());
        }
        let one = |k: &Key| {
            if k.name.is_empty() || k.name.contains(':') {
                return Err("keys.name: Required value: key name is required and may not contain ':'".to_owned());
            }
            let secret = STANDARD.decode(k.secret.trim()).map_err(|_| "secret must be base64 encoded".to_owned())?;
            if !sizes.contains(&secret.len()) {
                return Err(format!("secret is not of the expected length, got {}, expected one of {sizes:?}", secret.len()));
            }
            Ok((k.name.clone(), secret))
        };
        self.keys.iter().map(one).collect()
    }
}

impl Kms {
    fn describe(&self) -> Result<Described, String> {
        match self.api_version.as_deref() {
            Some("v2") => {}
            None | Some("v1") => {
                return Err("apiVersion: Invalid value: KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead. Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.".into());
            }
            Some(other) => return Err(format!("apiVersion: Invalid value: unsupported apiVersion {other} for KMS provider, only v1 and v2 are supported")),
        }
        if self.cache_size.is_some() {
            return Err("cachesize: Invalid value: cachesize is not supported in v2".into());
        }
        if self.name.is_empty() || self.name.contains(':') {
            return Err("name: Invalid value: invalid KMS provider name, must not contain ':'".into());
        }
        let socket = self.endpoint.strip_prefix("unix://").ok_or_else(|| {
            format!("endpoint: Invalid value: {:?}: unsupported scheme for KMS provider, only unix is supported", self.endpoint)
        })?;
        let timeout = self.timeout.as_deref().map(crate::deadline::parse).transpose()?.unwrap_or(Duration::from_secs(3));
        if timeout.is_zero() {
            return Err("timeout: Invalid value: should be a positive value".into());
        }
        Ok(Described::Kms { name: self.name.clone(), socket: socket.to_owned(), timeout })
    }
}
