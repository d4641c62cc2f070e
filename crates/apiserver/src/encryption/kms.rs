//! KMS v2: a plugin seals one seed, and values are sealed with keys derived from it, so that a write needs no call.
//! Docs: "Using a KMS provider for data encryption"; KEP-3299.
//!
//! ```text
//!  Status (each minute) -> key id ──changed──> new seed, Encrypt(seed) -> sealed seed, kept beside every value
//!  reading: sealed seed ──known?──> seed        └──else──> Decrypt ──> seed (kept)
//! ```

use super::cipher;
use super::grpc::{self, Field, Writer};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The plugin is asked this often how it is, and more often while it is not well.
const STATUS_EVERY: Duration = Duration::from_secs(60);
const STATUS_EVERY_UNWELL: Duration = Duration::from_secs(10);
/// A seed may be used for writing this long after the plugin last confirmed its key.
const SEED_FOR: Duration = Duration::from_secs(180);
/// Seeds that are kept for reading.
const SEEDS_MAX: usize = 2048;
const SERVICE: &str = "/v2.KeyManagementService";

/// How a sealed seed is used.
const TYPE_GCM_KEY: u64 = 0;
const TYPE_SEED: u64 = 1;

/// The seed that writes use now.
struct Current {
    seed: [u8; 32],
    sealed: Sealed,
    good_until: Instant,
}

/// A sealed seed with what the plugin needs to open it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sealed {
    key_id: String,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, Vec<u8>>,
}

/// One provider.
pub(super) struct Kms {
    name: String,
    prefix: String,
    socket: String,
    timeout: Duration,
    current: RwLock<Option<Current>>,
    seeds: Mutex<HashMap<Sealed, Vec<u8>>>,
}

impl Kms {
    /// A provider, and the task that looks after it while it is used.
    pub(super) fn start(name: String, socket: String, timeout: Duration) -> Arc<Self> {
        let prefix = format!("k8s:enc:kms:v2:{name}:");
        let this = Arc::new(Self { name, prefix, socket, timeout, current: RwLock::default(), seeds: Mutex::default() });
        tokio::spawn(look_after(Arc::downgrade(&this)));
        this
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until values can be sealed.
    pub(super) async fn ready(&self) -> Result<(), String> {
        if self.current.read().is_some() { Ok(()) } else { self.renew().await }
    }

    pub(super) fn writes_as(&self) -> String {
        let current = self.current.read();
        format!("kms:v2:{}:{}", self.name, current.as_ref().map_or("", |c| c.sealed.key_id.as_str()))
    }

    /// Asks how the plugin is, and takes a new seed when its key changed.
    async fn renew(&self) -> Result<(), String> {
        let answer = grpc::call(&self.socket, &format!("{SERVICE}/Status"), &[], self.timeout).await?;
        let fields = grpc::fields(&answer).ok_or("the plugin's status is no message")?;
        let text = |tag: u32| text_of(&fields, tag);
        let (version, health, key_id) = (text(1), text(2), text(3));
        if !matches!(version.as_str(), "v2" | "v2beta1") {
            return Err(format!("expected KMSv2 API version v2, got {version}"));
        }
        if health != "ok" {
            return Err(format!("got unexpected healthz status: {health}"));
        }
        if key_id.is_empty() || key_id.len() > 1024 {
            return Err("expected KMSv2 KeyID to be set and at most 1024 bytes long".to_owned());
        }
        let good_until = Instant::now() + SEED_FOR;
        if let Some(c) = self.current.write().as_mut().filter(|c| c.sealed.key_id == key_id) {
            c.good_until = good_until;
            return Ok(());
        }
        let seed: [u8; 32] = cipher::random().ok_or("no random bytes")?;
        let sealed = self.seal_seed(&seed).await?;
        self.remember(sealed.clone(), seed.to_vec());
        *self.current.write() = Some(Current { seed, sealed, good_until });
        Ok(())
    }

    async fn seal_seed(&self, seed: &[u8]) -> Result<Sealed, String> {
        let mut message = Writer::default();
        message.bytes(1, seed);
        message.bytes(2, request_id().as_bytes());
        let answer = grpc::call(&self.socket, &format!("{SERVICE}/Encrypt"), &message.0, self.timeout).await?;
        let fields = grpc::fields(&answer).ok_or("the plugin's answer is no message")?;
        let sealed = Sealed { bytes: bytes_of(&fields, 1), key_id: text_of(&fields, 2), annotations: map_of(&fields, 3) };
        if sealed.bytes.is_empty() || sealed.key_id.is_empty() {
            return Err("the plugin sealed nothing".to_owned());
        }
        Ok(sealed)
    }

    fn remember(&self, sealed: Sealed, seed: Vec<u8>) {
        let mut seeds = self.seeds.lock();
        if seeds.len() >= SEEDS_MAX {
            let keep = self.current.read().as_ref().map(|c| c.sealed.clone());
            seeds.retain(|s, _| Some(s) == keep.as_ref());
        }
        seeds.insert(sealed, seed);
    }

    async fn seed_of(&self, sealed: &Sealed) -> Result<Vec<u8>, String> {
        if let Some(seed) = self.seeds.lock().get(sealed) {
            return Ok(seed.clone());
        }
        let mut message = Writer::default();
        message.bytes(1, &sealed.bytes);
        message.bytes(2, request_id().as_bytes());
        message.bytes(3, sealed.key_id.as_bytes());
        message.map(4, &sealed.annotations);
        let answer = grpc::call(&self.socket, &format!("{SERVICE}/Decrypt"), &message.0, self.timeout).await;
        let answer = answer.map_err(|e| format!("failed to decrypt DEK, error: {e}"))?;
        let fields = grpc::fields(&answer).ok_or("the plugin's answer is no message")?;
        let seed = bytes_of(&fields, 1);
        self.remember(sealed.clone(), seed.clone());
        Ok(seed)
    }

    pub(super) fn seal(&self, path: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let current = self.current.read();
        let Some(c) = current.as_ref() else { return Err(format!("got unexpected nil transformer for KMS provider {:?}", self.name)) };
        if c.good_until < Instant::now() {
            return Err(format!("EDEK of KMS provider {:?} expired: the plugin did not confirm its key in time", self.name));
        }
        let data = cipher::seal_derived(&c.seed, path, plain).ok_or("the value could not be encrypted")?;
        let mut out = Writer(self.prefix.clone().into_bytes());
        out.bytes(1, &data);
        out.bytes(2, c.sealed.key_id.as_bytes());
        out.bytes(3, &c.sealed.bytes);
        out.map(4, &c.sealed.annotations);
        out.number(5, TYPE_SEED);
        Ok(out.0)
    }

    pub(super) async fn open(&self, path: &[u8], sealed: &[u8]) -> Option<Result<(Vec<u8>, String), String>> {
        let rest = sealed.strip_prefix(self.prefix.as_bytes())?;
        Some(self.open_object(path, rest).await)
    }

    async fn open_object(&self, path: &[u8], object: &[u8]) -> Result<(Vec<u8>, String), String> {
        let fields = grpc::fields(object).ok_or("the stored value is no encrypted object")?;
        let kind = fields.iter().find_map(|(t, f)| match f {
            Field::Number(n) if *t == 5 => Some(*n),
            _ => None,
        });
        let source = Sealed { bytes: bytes_of(&fields, 3), key_id: text_of(&fields, 2), annotations: map_of(&fields, 4) };
        let (data, seed) = (bytes_of(&fields, 1), self.seed_of(&source).await?);
        let plain = match kind.unwrap_or(TYPE_GCM_KEY) {
            TYPE_SEED => cipher::open_derived(&seed, path, &data),
            TYPE_GCM_KEY => cipher::open_gcm(&seed, path, &data),
            other => return Err(format!("unknown encryptedDEKSourceType: {other}")),
        };
        let name = format!("kms:v2:{}:{}", self.name, source.key_id);
        plain.map(|p| (p, name)).ok_or_else(|| "cipher: message authentication failed".to_owned())
    }
}

async fn look_after(kms: std::sync::Weak<Kms>) {
    let mut well = true;
    loop {
        let pause = if well { STATUS_EVERY } else { STATUS_EVERY_UNWELL };
        tokio::time::sleep(pause).await;
        let Some(kms) = kms.upgrade() else { return };
        let done = kms.renew().await;
        if let Err(e) = &done {
            tracing::warn!(provider = %kms.name, err = %e, "The KMS plugin is not well");
        }
        well = done.is_ok();
    }
}

fn request_id() -> String {
    let bytes: [u8; 16] = cipher::random().unwrap_or_default();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes_of(fields: &[(u32, Field<'_>)], tag: u32) -> Vec<u8> {
    let found = fields.iter().find_map(|(t, f)| match f {
        Field::Bytes(b) if *t == tag => Some(b.to_vec()),
        _ => None,
    });
    found.unwrap_or_default()
}

fn text_of(fields: &[(u32, Field<'_>)], tag: u32) -> String {
    String::from_utf8(bytes_of(fields, tag)).unwrap_or_default()
}

fn map_of(fields: &[(u32, Field<'_>)], tag: u32) -> BTreeMap<String, Vec<u8>> {
    let pairs = fields.iter().filter_map(|(t, f)| match f {
        Field::Bytes(b) if *t == tag => grpc::fields(b),
        _ => None,
    });
    pairs.map(|p| (text_of(&p, 1), bytes_of(&p, 2))).collect()
}
