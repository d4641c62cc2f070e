//! All ways to say who one is, in kube-apiserver's order: front proxy, client certificate, bearer token (bootstrap,
//! service account, token file, issuers, webhook), anonymous. Wrong credentials are never anonymous.

use super::config::{Anonymous, Configuration};
use super::hook::{Hook, HookOptions};
use super::jwt::Authenticator;
use super::proxy::Proxy;
use super::{Peer, bearer, bootstrap_user, known};
use crate::tokens::Tokens;
use arc_swap::ArcSwap;
use cache::Snapshot;
use http::HeaderMap;
use jiff::Timestamp;
use kinds::ObjectKey;
use parking_lot::Mutex;
use registry::Registry;
use rules::User;
use sha2::Digest;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Tokens whose users are remembered.
const CACHE_MAX: usize = 4096;
/// How long an issuer's token is not checked again, and how long a wrong one is not asked about again.
const CACHE_FOR: Duration = Duration::from_secs(10);
/// How often a configuration file is looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// What the flags say of authentication.
#[derive(Clone, Debug)]
pub struct AuthnOptions {
    /// The issuers and who may be anonymous: of the file, or of the `--oidc-*` flags.
    pub configuration: Configuration,
    /// The file, to be read again when it changes.
    pub file: Option<PathBuf>,
    /// `--anonymous-auth`, unless the file says it.
    pub anonymous: bool,
    pub webhook: Option<HookOptions>,
    /// `--token-auth-file`.
    pub static_tokens: Vec<(String, User)>,
    pub proxy: Proxy,
}

impl Default for AuthnOptions {
    fn default() -> Self {
        Self { configuration: Configuration::default(), file: None, anonymous: true, webhook: None, static_tokens: Vec::new(), proxy: Proxy::default() }
    }
}

struct Remembered {
    until: Instant,
    found: Option<(User, Vec<String>)>,
}

struct Issuers {
    all: Vec<Authenticator>,
    anonymous: Option<Anonymous>,
}

/// Everyone who can tell who asks.
pub struct Authenticators {
    tokens: Arc<Tokens>,
    issuers: ArcSwap<Issuers>,
    webhook: Option<Hook>,
    static_tokens: Vec<(String, User)>,
    anonymous: bool,
    proxy: Proxy,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    registry: Mutex<Weak<Registry>>,
    /// Secrets at which it is being noted that they are used.
    noting: Arc<Mutex<HashSet<ObjectKey>>>,
}

impl Authenticators {
    /// From the flags. A configuration file is followed from then on.
    ///
    /// # Errors
    /// Issuers or webhooks that cannot be.
    pub fn new(tokens: Arc<Tokens>, options: AuthnOptions) -> Result<Arc<Self>, String> {
        let this = Arc::new(Self {
            tokens,
            issuers: ArcSwap::from_pointee(issuers(&options.configuration)?),
            webhook: options.webhook.as_ref().map(Hook::new).transpose()?,
            static_tokens: options.static_tokens,
            anonymous: options.anonymous,
            proxy: options.proxy,
            remembered: Mutex::default(),
            registry: Mutex::default(),
            noting: Arc::default(),
        });
        if let Some(file) = options.file {
            tokio::spawn(follow(Arc::downgrade(&this), file));
        }
        Ok(this)
    }

    /// Finds out who asks. `None`: wrong credentials, or none where some are needed (401).
    pub async fn authenticate(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        path: &str,
        (snapshot, now): (&Snapshot, Timestamp),
    ) -> Option<Arc<User>> {
        if let Some(user) = peer.front_proxy.as_deref().and_then(|name| self.proxy.user(name, headers)) {
            return Some(known(user));
        }
        if let Some(user) = &peer.certificate {
            return Some(Arc::clone(user));
        }
        match bearer(headers) {
            Some(token) => self.token(&token, &[], snapshot, now).await.ok().flatten().map(|(u, _)| known(u)),
            // A front proxy's certificate that brings no user is none of ours, and one with a wrong uid nobody's.
            None if peer.front_proxy.is_some() || peer.wrong_certificate => None,
            None => self.anonymous(path),
        }
    }

    fn anonymous(&self, path: &str) -> Option<Arc<User>> {
        let issuers = self.issuers.load();
        let allowed = match &issuers.anonymous {
            Some(a) => a.enabled && (a.conditions.is_empty() || a.conditions.iter().any(|c| c.path == path)),
            None => self.anonymous,
        };
        allowed.then(|| Arc::new(User::new("system:anonymous", &["system:unauthenticated"])))
    }

    /// The user of a bearer token, with the audiences it is good for. `Ok(None)`: nobody knows it.
    ///
    /// # Errors
    /// What the one who knows it says against it.
    pub async fn token(
        &self,
        token: &str,
        audiences: &[String],
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Option<(User, Vec<String>)>, String> {
        let own = self.tokens.audiences();
        let wanted = if audiences.is_empty() { own } else { audiences };
        // Authenticators that know nothing of audiences speak for the API server's own.
        let for_us: Vec<String> = wanted.iter().filter(|a| own.contains(a)).cloned().collect();
        if let Some((_, user)) = self.static_tokens.iter().find(|(t, _)| same(t, token)) {
            return Ok((!for_us.is_empty()).then(|| (user.clone(), for_us)));
        }
        if let Some(found) = self.tokens.verify(token, audiences, now, snapshot) {
            return Ok(Some(found));
        }
        if let Some(user) = bootstrap_user(token, snapshot, now) {
            return Ok((!for_us.is_empty()).then_some((user, for_us)));
        }
        if let Some((user, unnoted)) = self.tokens.verify_legacy(token, snapshot, now) {
            if let Some(secret) = unnoted {
                self.note_use(secret, now);
            }
            return Ok((!for_us.is_empty()).then_some((user, for_us)));
        }
        Box::pin(self.remote(token, wanted, for_us, now)).await
    }

    /// The registry, in which the use of old tokens is noted.
    pub fn connect(&self, registry: &Arc<Registry>) {
        *self.registry.lock() = Arc::downgrade(registry);
    }

    fn note_use(&self, secret: ObjectKey, now: Timestamp) {
        let Some(registry) = self.registry.lock().upgrade() else { return };
        if !self.noting.lock().insert(secret.clone()) {
            return;
        }
        let noting = Arc::clone(&self.noting);
        tokio::spawn(async move {
            if let Err(e) = crate::tokens::note_use(&registry, &secret, now).await {
                tracing::warn!(err = %e, secret = %secret, "The use of a token could not be noted");
            }
            noting.lock().remove(&secret);
        });
    }

    async fn remote(&self, token: &str, wanted: &[String], for_us: Vec<String>, now: Timestamp) -> Result<Option<(User, Vec<String>)>, String> {
        let issuers = self.issuers.load_full();
        if issuers.all.is_empty() && self.webhook.is_none() {
            return Ok(None);
        }
        let key = cache_key(token, wanted);
        if let Some(r) = self.remembered.lock().get(&key).filter(|r| r.until > Instant::now()) {
            return Ok(r.found.clone());
        }
        let mut why = None;
        for issuer in &issuers.all {
            match issuer.authenticate(token, now).await {
                Some(Ok(user)) if !for_us.is_empty() => {
                    let found = Some((user, for_us));
                    self.remember(key, found.clone(), CACHE_FOR);
                    return Ok(found);
                }
                Some(Err(e)) => {
                    tracing::debug!(err = %e, "A token was refused");
                    why = Some(e);
                }
                _ => {}
            }
        }
        if let Some(hook) = &self.webhook {
            match hook.ask(token, wanted).await {
                Ok(found) => {
                    let ttl = if found.is_some() { hook.cache_ttl } else { CACHE_FOR.min(hook.cache_ttl) };
                    self.remember(key, found.clone(), ttl);
                    return Ok(found);
                }
                Err(e) => why = Some(e),
            }
        }
        why.map_or(Ok(None), Err)
    }

    fn remember(&self, key: [u8; 32], found: Option<(User, Vec<String>)>, ttl: Duration) {
        let mut all = self.remembered.lock();
        let now = Instant::now();
        if all.len() >= CACHE_MAX {
            all.retain(|_, r| r.until > now);
        }
        if all.len() >= CACHE_MAX {
            all.clear();
        }
        all.insert(key, Remembered { until: now + ttl, found });
    }
}

fn issuers(c: &Configuration) -> Result<Issuers, String> {
    let all = c.jwt.iter().enumerate().map(|(i, j)| Authenticator::new(j).map_err(|e| format!("jwt[{i}]: {e}")));
    Ok(Issuers { all: all.collect::<Result<_, _>>()?, anonymous: c.anonymous.clone() })
}

/// Compares without telling by its time how much of a token was right.
fn same(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// Tokens themselves are not kept.
fn cache_key(token: &str, audiences: &[String]) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    hash.update(token.as_bytes());
    for a in audiences {
        hash.update([0]);
        hash.update(a.as_bytes());
    }
    hash.finalize().into()
}

/// Reads the configuration file again when it changed; one that is wrong changes nothing.
async fn follow(this: Weak<Authenticators>, file: PathBuf) {
    let mut before = tokio::fs::read_to_string(&file).await.unwrap_or_default();
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        let Some(this) = this.upgrade() else { return };
        let Ok(text) = tokio::fs::read_to_string(&file).await else { continue };
        if text == before {
            continue;
        }
        before.clone_from(&text);
        match Configuration::parse(&text).and_then(|c| issuers(&c)) {
            Ok(next) => {
                this.issuers.store(Arc::new(next));
                this.remembered.lock().clear();
                tracing::info!("The authentication configuration was loaded anew");
            }
            Err(e) => tracing::warn!(err = %e, "The authentication configuration is wrong; the last one stays"),
        }
    }
}
