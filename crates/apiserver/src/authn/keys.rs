//! The keys of an issuer: found through its discovery document, kept, and fetched again when a token names one that is
//! not known. OpenID Connect Discovery 1.0; RFC 7517.

use client::{Client, Config};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Keys are fetched at most this often.
const FETCH_PAUSE: Duration = Duration::from_secs(10);
/// One fetch may take this long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Keys are fetched anew when they are older than this, so that a withdrawn key goes.
const KEYS_FOR: Duration = Duration::from_secs(3600);

struct Known {
    keys: Arc<JwkSet>,
    at: Instant,
}

/// The key set of one issuer.
pub(crate) struct Keys {
    issuer: String,
    discovery: String,
    ca: Option<Vec<u8>>,
    known: RwLock<Option<Known>>,
    fetching: Mutex<Option<Instant>>,
}

impl Keys {
    pub(crate) fn new(issuer: &str, discovery_url: Option<&str>, ca: Option<Vec<u8>>) -> Self {
        let discovery = match discovery_url {
            Some(url) => url.to_owned(),
            None => format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')),
        };
        Self { issuer: issuer.to_owned(), discovery, ca, known: RwLock::default(), fetching: Mutex::default() }
    }

    /// The keys that a token with this key id may be signed by.
    ///
    /// # Errors
    /// Why they cannot be fetched.
    pub(crate) async fn candidates(&self, id: Option<&str>) -> Result<Vec<Jwk>, String> {
        if let Some(found) = self.look(id) {
            return Ok(found);
        }
        let mut last = self.fetching.lock().await;
        if let Some(found) = self.look(id) {
            return Ok(found);
        }
        if last.is_none_or(|at| at.elapsed() >= FETCH_PAUSE) {
            *last = Some(Instant::now());
            let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
            let keys = fetched.map_err(|_| format!("fetching the keys of {}: timed out", self.issuer))??;
            *self.known.write() = Some(Known { keys: Arc::new(keys), at: Instant::now() });
        }
        self.look(id).ok_or_else(|| "failed to verify id token signature".to_owned())
    }

    fn look(&self, id: Option<&str>) -> Option<Vec<Jwk>> {
        let known = self.known.read();
        let known = known.as_ref().filter(|k| k.at.elapsed() < KEYS_FOR)?;
        let fits = |k: &&Jwk| id.is_none() || k.common.key_id.as_deref() == id;
        let found: Vec<Jwk> = known.keys.keys.iter().filter(fits).cloned().collect();
        (!found.is_empty()).then_some(found)
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let document = self.get(&self.discovery).await?;
        if document["issuer"].as_str() != Some(self.issuer.as_str()) {
            return Err(format!("oidc: issuer did not match the issuer returned by provider, expected {:?} got {:?}", self.issuer, document["issuer"].as_str().unwrap_or_default()));
        }
        let url = document["jwks_uri"].as_str().ok_or("the discovery document names no jwks_uri")?;
        let mut set = self.get(url).await?;
        // Keys of kinds that we do not know are left out, as RFC 7517 wants.
        if let Some(keys) = set["keys"].as_array_mut() {
            keys.retain(|k| serde_json::from_value::<Jwk>(k.clone()).is_ok());
        }
        serde_json::from_value(set).map_err(|e| format!("the keys at {url}: {e}"))
    }

    async fn get(&self, url: &str) -> Result<Value, String> {
        let config = Config { server: url.to_owned(), ca: self.ca.clone(), ..Config::default() };
        let client = Client::new(config).map_err(|e| e.to_string())?;
        client.get("").await.map_err(|e| format!("Get {url:?}: {e}"))
    }
}
