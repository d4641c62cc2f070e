//! Who the servers are: a Lease each in `kube-system`, renewed as long as its server lives, and taken away by the others when it
//! ran out. KEP-1965 "kube-apiserver identity" (feature gate `APIServerIdentity`).

use crate::registry::{Caller, Registry};
use data_encoding::BASE32_NOPAD;
use jiff::{SignedDuration, Timestamp};
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::{ApiError, DeleteOptions, Kind, MicroTime, ObjectKey, ObjectMeta, Target, WriteOptions};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;

const NAMESPACE: &str = "kube-system";
/// The label of such leases, and its value.
const LABEL: (&str, &str) = ("apiserver.kubernetes.io/identity", "kube-apiserver");
const HOSTNAME: &str = "kubernetes.io/hostname";
const GATE: &str = "APIServerIdentity";
/// Where other servers reach this one (KEP-4020), and the gate of that.
const PEER: &str = "kubernetes.io/peer-advertise-address";
const PEER_GATE: &str = "UnknownVersionInteroperabilityProxy";
/// A lease that was not renewed for so long is worth nothing, in seconds.
const LIVES_S: i32 = 3600;
/// How much of the hash is in a name, in bytes.
const HASH_BYTES: usize = 16;
/// How often a server says that it lives.
pub const PRESENT_EVERY: Duration = Duration::from_secs(10);
/// How often leases that ran out are looked for.
pub const ABSENT_EVERY: Duration = Duration::from_secs(3600);

/// One server.
#[derive(Clone, Debug)]
pub struct Presence {
    hostname: String,
    peer: String,
    name: String,
    holder: String,
}

impl Presence {
    /// The server of a host, at an address and port; `uid` tells one run of it from the next.
    #[must_use]
    pub fn of(hostname: &str, peer: SocketAddr, uid: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [hostname, LABEL.1] {
            hash.update(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            hash.update(part);
        }
        let name = format!("apiserver-{}", BASE32_NOPAD.encode(&hash.finalize()[..HASH_BYTES]).to_lowercase());
        Self { hostname: hostname.to_owned(), peer: peer.to_string(), holder: format!("{name}_{uid}"), name }
    }
}

fn system() -> (Caller, WriteOptions) {
    let options = WriteOptions { field_manager: "kube-apiserver".to_owned(), ..WriteOptions::default() };
    (Caller::new("system:apiserver", &["system:masters"]), options)
}

impl Registry {
    /// Says that this server lives.
    ///
    /// # Errors
    /// The store does not answer, or the write was refused.
    pub async fn renew_presence(&self, presence: &Presence) -> Result<(), ApiError> {
        if !self.settings.gates.on(GATE) {
            return Ok(());
        }
        let (caller, options) = system();
        let key = ObjectKey::new(NAMESPACE, &*presence.name);
        let target = Target::new(Kind::Lease, key.clone());
        let old = self.snapshot().find::<Lease>(&key).cloned();
        let mut lease = old.as_deref().cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { namespace: Some(key.namespace.to_string()), name: Some(key.name.to_string()), ..ObjectMeta::default() },
            ..Lease::default()
        });
        let labels = lease.metadata.labels.get_or_insert_default();
        labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
        labels.insert(HOSTNAME.to_owned(), presence.hostname.clone());
        if self.settings.gates.on(PEER_GATE) {
            lease.metadata.annotations.get_or_insert_default().insert(PEER.to_owned(), presence.peer.clone());
        }
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(presence.holder.clone());
        spec.lease_duration_seconds = Some(LIVES_S);
        spec.renew_time = Some(MicroTime(self.now()));
        match old {
            Some(_) => self.update(&caller, &target, lease.into(), &options).await.map(|_| ()),
            None => self.create(&caller, &target, lease.into(), &options).await.map(|_| ()),
        }
    }

    /// Takes the leases of servers away that are not there any more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep_presence(&self) -> Result<(), ApiError> {
        if !self.settings.gates.on(GATE) {
            return Ok(());
        }
        let (caller, _) = system();
        let (now, snapshot) = (self.now(), self.snapshot());
        for lease in snapshot.list::<Lease>(NAMESPACE).filter(|l| is_presence(l) && ran_out(l, now)) {
            let meta = &lease.metadata;
            // One that was renewed meanwhile stays.
            let seen = Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
            let target = Target::new(Kind::Lease, ObjectKey::of(meta));
            let gone = self.delete(&caller, &target, &DeleteOptions { preconditions: Some(seen), ..DeleteOptions::default() }).await;
            gone.map(|_| ()).or_else(|e| if e.is_conflict() || e.is_not_found() { Ok(()) } else { Err(e) })?;
        }
        Ok(())
    }
}

fn is_presence(lease: &Lease) -> bool {
    lease.metadata.labels.as_ref().and_then(|l| l.get(LABEL.0)).is_some_and(|v| v == LABEL.1)
}

/// A lease that does not say until when it lasts has run out.
fn ran_out(lease: &Lease, now: Timestamp) -> bool {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|s| s.renew_time.as_ref()).map(|t| t.0);
    let lives = spec.and_then(|s| s.lease_duration_seconds).map(|s| SignedDuration::from_secs(s.into()));
    let until = renewed.zip(lives).and_then(|(at, lives)| at.checked_add(lives).ok());
    until.is_none_or(|u| u < now)
}
