//! The port through which values are encrypted on their way to the store and decrypted on their way back.
//! Docs: "Encrypting Confidential Data at Rest". The ciphers are the API server's business.

use kinds::Resource;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Every sealed value begins with this, in kube-apiserver's etcd as in ours.
pub const MARK: &[u8] = b"k8s:enc:";

/// The outcome of opening: what was sealed, and the name of what sealed it.
pub type Opened<'a> = Pin<Box<dyn Future<Output = Result<(Vec<u8>, String), String>> + Send + 'a>>;

/// Seals and opens values. Resources are named `secrets` or `deployments.apps`; `path` is the store's key, which is
/// authenticated with the value where the cipher can.
pub trait Sealer: Send + Sync {
    /// What new values of the resource are sealed by; `None`: nothing.
    fn seals_with(&self, resource: &str) -> Option<String>;
    /// Seals a value.
    ///
    /// # Errors
    /// Why it cannot be done now.
    fn seal(&self, resource: &str, path: &str, plain: &[u8]) -> Result<Vec<u8>, String>;
    /// Opens a value that begins with [`MARK`].
    fn open<'a>(&'a self, resource: &'a str, path: &'a str, sealed: &'a [u8]) -> Opened<'a>;
}

/// How values lie in the store.
#[derive(Clone, Default)]
pub struct Storage {
    /// Encrypts them, if anything does.
    pub sealer: Option<Arc<dyn Sealer>>,
    /// The form of what is (sealed and) stored.
    pub form: codec::storage::Form,
    /// What keys begin with in the store instead of `/registry`.
    pub root: Option<String>,
}

/// What is sealed, and by what: so that a write that changes nothing else changes this.
#[derive(Default)]
pub struct Seals {
    sealer: Option<Arc<dyn Sealer>>,
    root: Option<String>,
    by_path: Mutex<HashMap<String, String>>,
}

/// The name that the sealer knows the resource by.
#[must_use]
pub fn resource_name(resource: &Resource) -> String {
    if resource.group().is_empty() { resource.plural().to_owned() } else { format!("{}.{}", resource.plural(), resource.group()) }
}

impl Seals {
    /// With a sealer, or none, for a store whose keys begin with `root` (or as usual).
    #[must_use]
    pub fn new(sealer: Option<Arc<dyn Sealer>>, root: Option<String>) -> Self {
        Self { sealer, root, by_path: Mutex::default() }
    }

    /// The key as the store has it: values are bound to it.
    fn named<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let rest = path.strip_prefix(crate::keys::ROOT.trim_end_matches('/'));
        match (&self.root, rest) {
            (Some(root), Some(rest)) => Cow::Owned(format!("{root}{rest}")),
            _ => Cow::Borrowed(path),
        }
    }

    /// Seals what is to be stored; `None` when it is stored as it is.
    ///
    /// # Errors
    /// Why it cannot be done now.
    pub fn seal(&self, resource: &Resource, path: &str, plain: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(sealer) = &self.sealer else { return Ok(None) };
        let resource = resource_name(resource);
        if sealer.seals_with(&resource).is_none() {
            return Ok(None);
        }
        sealer.seal(&resource, &self.named(path), plain).map(Some)
    }

    /// Tells by what a stored value was sealed.
    pub fn note(&self, path: &str, by: Option<String>) {
        if self.sealer.is_none() {
            return;
        }
        match by {
            Some(by) => self.by_path.lock().insert(path.to_owned(), by),
            None => self.by_path.lock().remove(path),
        };
    }

    /// Tells that our own write is stored.
    pub fn written(&self, resource: &Resource, path: &str) {
        if let Some(sealer) = &self.sealer {
            self.note(path, sealer.seals_with(&resource_name(resource)));
        }
    }

    /// Whether the stored value is sealed otherwise than a new one would be.
    #[must_use]
    pub fn is_stale(&self, resource: &Resource, path: &str) -> bool {
        let Some(sealer) = &self.sealer else { return false };
        sealer.seals_with(&resource_name(resource)) != self.by_path.lock().get(path).cloned()
    }

    /// Opens a value as it came from the store; what is not sealed is returned as it is.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open(&self, resource: &Resource, path: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let (plain, by) = self.look(resource, path, value).await?.unzip();
        self.note(path, by);
        Ok(plain)
    }

    /// The same of a value out of the past, which says nothing of what is stored now; with the name of what sealed it.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn look(&self, resource: &Resource, path: &str, value: &[u8]) -> Result<Option<(Vec<u8>, String)>, String> {
        if !value.starts_with(MARK) {
            return Ok(None);
        }
        let sealer = self.sealer.as_ref().ok_or("it is encrypted, and there is no --encryption-provider-config")?;
        sealer.open(&resource_name(resource), &self.named(path), value).await.map(Some)
    }
}
