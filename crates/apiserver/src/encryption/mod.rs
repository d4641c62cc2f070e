//! Encryption at rest: the providers of an `EncryptionConfiguration`, in the stored forms of kube-apiserver, so that either
//! can read what the other wrote. Docs: "Encrypting Confidential Data at Rest", "Using a KMS provider".
//!
//! The first provider of a resource writes, all of them read; within one, the first key writes. Each value is sealed by
//! itself and written in one piece, so a crash leaves values of the old key and of the new one, and both can be read.

mod cipher;
mod config;
mod grpc;
mod kms;

#[cfg(test)]
mod tests;

use arc_swap::ArcSwap;
use cipher::Provider;
use config::Configuration;
use registry::sealing::{Opened, Sealer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often the file is looked at when it is reloaded by itself.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How long a KMS may take to answer at start.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Why encryption cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    #[error("error reading encryption provider configuration file {path:?}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("error while parsing encryption provider configuration: {0}")]
    Parse(String),
    #[error("KMS provider {name:?} is not ready: {why}")]
    Kms { name: String, why: String },
}

/// Resources with their providers.
pub(crate) struct Group {
    resources: Vec<String>,
    providers: Vec<Provider>,
}

impl Group {
    fn covers(&self, resource: &str) -> bool {
        self.resources.iter().any(|r| match r.split_once('.') {
            Some(("*", "*")) => true,
            Some(("*", "")) => !resource.contains('.'),
            Some(("*", group)) => resource.split_once('.').is_some_and(|(_, g)| g == group),
            _ => r == resource || r.strip_suffix('.') == Some(resource),
        })
    }
}

/// The sealer that a configuration file describes.
pub struct Encryption {
    groups: ArcSwap<Vec<Group>>,
}

impl Encryption {
    /// Reads the file and waits for its KMS providers.
    ///
    /// # Errors
    /// A file that cannot be read or means nothing; a KMS that does not answer.
    pub async fn open(path: PathBuf, reload: bool) -> Result<Arc<Self>, EncryptionError> {
        let text = read(&path).await?;
        let groups = build(&text).await?;
        let this = Arc::new(Self { groups: ArcSwap::from_pointee(groups) });
        if reload {
            tokio::spawn(follow(Arc::downgrade(&this), path, text));
        }
        Ok(this)
    }

    fn providers<T>(&self, resource: &str, f: impl FnOnce(&[Provider]) -> T) -> Option<T> {
        self.groups.load().iter().find(|g| g.covers(resource)).map(|g| f(&g.providers))
    }
}

async fn read(path: &std::path::Path) -> Result<String, EncryptionError> {
    tokio::fs::read_to_string(path).await.map_err(|source| EncryptionError::Read { path: path.to_owned(), source })
}

async fn build(text: &str) -> Result<Vec<Group>, EncryptionError> {
    let configuration = Configuration::parse(text).map_err(EncryptionError::Parse)?;
    let mut groups = Vec::new();
    for (resources, described) in configuration.groups() {
        let mut providers = Vec::new();
        for d in described {
            providers.extend(cipher::make(d).map_err(EncryptionError::Parse)?);
        }
        for p in &providers {
            if let Provider::Kms(kms) = p {
                let ready = tokio::time::timeout(READY_TIMEOUT, kms.ready()).await;
                let why = match ready {
                    Ok(Ok(())) => continue,
                    Ok(Err(why)) => why,
                    Err(_) => "it does not answer".to_owned(),
                };
                return Err(EncryptionError::Kms { name: kms.name().to_owned(), why });
            }
        }
        groups.push(Group { resources, providers });
    }
    Ok(groups)
}

/// Reads the file again when it changed. One that is wrong changes nothing.
async fn follow(this: std::sync::Weak<Encryption>, path: PathBuf, mut before: String) {
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        let Some(this) = this.upgrade() else { return };
        let text = match read(&path).await {
            Ok(text) if text == before => continue,
            Ok(text) => text,
            Err(e) => {
                tracing::warn!(err = %e, "The encryption configuration cannot be read; the last one stays");
                continue;
            }
        };
        match build(&text).await {
            Ok(groups) => {
                this.groups.store(Arc::new(groups));
                tracing::info!("The encryption configuration was loaded anew");
                before = text;
            }
            Err(e) => tracing::warn!(err = %e, "The encryption configuration is wrong; the last one stays"),
        }
    }
}

impl Sealer for Encryption {
    fn seals_with(&self, resource: &str) -> Option<String> {
        self.providers(resource, |p| p.first().and_then(Provider::writes_as)).flatten()
    }

    fn seal(&self, resource: &str, path: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
        let sealed = self.providers(resource, |p| p.first().map(|p| p.seal(path.as_bytes(), plain))).flatten();
        sealed.unwrap_or_else(|| Ok(plain.to_vec()))
    }

    fn open<'a>(&'a self, resource: &'a str, path: &'a str, sealed: &'a [u8]) -> Opened<'a> {
        Box::pin(async move {
            let groups = self.groups.load_full();
            let Some(group) = groups.iter().find(|g| g.covers(resource)) else {
                return Err(format!("identity transformer tried to read encrypted data (no provider covers {resource})"));
            };
            let mut why = "no matching prefix found".to_owned();
            for provider in &group.providers {
                match provider.open(path.as_bytes(), sealed).await {
                    Some(Ok(done)) => return Ok(done),
                    Some(Err(e)) => why = e,
                    None => {}
                }
            }
            Err(why)
        })
    }
}
