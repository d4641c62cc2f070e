//! Which servers live: a key under `/registry/masterleases/` each, which goes by itself when its server does not renew it, and
//! the Endpoints and EndpointSlice of the `kubernetes` service, made of what is there. As kube-apiserver's
//! `--endpoint-reconciler-type=lease`, so that both kinds of servers count each other.

use crate::registry::{Caller, Registry};
use kinds::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use kinds::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use kinds::{ApiError, Kind, Object, ObjectKey, ObjectMeta, Resource, Target, WriteOptions};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use store::{Expect, RangeRequest, Txn};

/// Where the keys lie.
const PREFIX: &str = "/registry/masterleases/";
/// A server that was not heard of for so long is not there any more.
pub const MASTER_LIVES: Duration = Duration::from_secs(15);
/// How often a server says that it lives.
pub const MASTER_EVERY: Duration = Duration::from_secs(10);
/// Namespace and name of the service.
const SERVICE: (&str, &str) = ("default", "kubernetes");

/// One server as clients in the cluster reach it.
#[derive(Clone, Copy, Debug)]
pub struct Master {
    pub address: IpAddr,
    pub port: u16,
}

/// Whether a key says that a server lives: it is worth nothing without its lease.
#[must_use]
pub fn is_lease(key: &[u8]) -> bool {
    key.starts_with(PREFIX.as_bytes())
}

fn path(address: IpAddr) -> String {
    format!("{PREFIX}{address}")
}

impl Registry {
    /// Says that this server lives, and makes the service's endpoints fit.
    ///
    /// # Errors
    /// The store does not answer, or a write was refused.
    pub async fn renew_master(&self, master: Master) -> Result<(), ApiError> {
        if !self.engine.expires() {
            // Nobody else shares this store.
            return self.publish_masters(&[master.address].into(), master.port).await;
        }
        let unavailable = |e: &dyn std::fmt::Display| ApiError::unavailable(e.to_string());
        let found = self.engine.get(path(master.address).into(), None).await.map_err(|e| unavailable(&e))?;
        // Each renewal is another object: kube-apiserver counts the generation.
        let generation = found.as_ref().map_or(1, |kv| kv.version + 1);
        // Guarded, so that it may be sent again when an answer is late: the lease is short.
        let expect = found.map_or(Expect::Absent, |kv| Expect::At(kv.mod_revision));
        let lease = serde_json::json!({
            "kind": "Endpoints", "apiVersion": "v1", "metadata": {"generation": generation},
            "subsets": [{"addresses": [{"ip": master.address.to_string()}]}],
        });
        let json = serde_json::to_vec(&lease).map_err(ApiError::internal)?;
        let stored = codec::storage::to_stored(self.form, &Kind::Endpoints.into(), &json).map_err(ApiError::internal)?;
        let txn = Txn::put(path(master.address), stored.unwrap_or(json), expect).living(Some(MASTER_LIVES));
        self.engine.commit(txn).await.map_err(|e| unavailable(&e))?;
        self.publish_masters(&self.masters().await?, master.port).await
    }

    /// Says that this server ends.
    ///
    /// # Errors
    /// The store does not answer, or a write was refused.
    pub async fn withdraw_master(&self, master: Master) -> Result<(), ApiError> {
        if !self.engine.expires() {
            return Ok(());
        }
        let gone = self.engine.commit(Txn::delete(path(master.address), Expect::Any)).await;
        gone.map_err(|e| ApiError::unavailable(e.to_string()))?;
        let left = self.masters().await?;
        // The last one leaves its address: nobody would put one back.
        if left.is_empty() { Ok(()) } else { self.publish_masters(&left, master.port).await }
    }

    /// The addresses of the servers that live.
    async fn masters(&self) -> Result<BTreeSet<IpAddr>, ApiError> {
        let range = RangeRequest { keys_only: true, ..RangeRequest::prefix(PREFIX) };
        let found = self.engine.range(range).await.map_err(|e| ApiError::unavailable(e.to_string()))?;
        let address = |key: &[u8]| std::str::from_utf8(key.strip_prefix(PREFIX.as_bytes())?).ok()?.parse().ok();
        Ok(found.kvs.iter().filter_map(|kv| address(&kv.key)).collect())
    }

    async fn publish_masters(&self, all: &BTreeSet<IpAddr>, port: u16) -> Result<(), ApiError> {
        let key = ObjectKey::new(SERVICE.0, SERVICE.1);
        let snapshot = self.snapshot();
        let endpoints = endpoints(all, port);
        let old = snapshot.find::<Endpoints>(&key).cloned();
        if old.as_ref().map(|o| &o.subsets) != Some(&endpoints.subsets) {
            let mut next = old.as_ref().map_or_else(|| endpoints.clone(), |o| Endpoints::clone(o));
            next.subsets = endpoints.subsets;
            next.metadata.labels.get_or_insert_default().extend(endpoints.metadata.labels.into_iter().flatten());
            self.publish(Kind::Endpoints, old.is_some(), next.into()).await?;
        }
        let slice = slice(all, port);
        let old = snapshot.find::<EndpointSlice>(&key).cloned();
        let same = |o: &EndpointSlice| o.endpoints == slice.endpoints && o.ports == slice.ports && o.address_type == slice.address_type;
        if !old.as_ref().is_some_and(|o| same(o)) {
            let mut next = old.as_ref().map_or_else(|| slice.clone(), |o| EndpointSlice::clone(o));
            (next.endpoints, next.ports, next.address_type) = (slice.endpoints, slice.ports, slice.address_type);
            self.publish(Kind::EndpointSlice, old.is_some(), next.into()).await?;
        }
        Ok(())
    }

    /// Writes over the object as it was seen: who meanwhile wrote the same wins.
    async fn publish(&self, kind: Kind, there: bool, object: Object) -> Result<(), ApiError> {
        let caller = Caller::new("system:apiserver", &["system:masters"]);
        let options = WriteOptions { field_manager: "kube-apiserver".to_owned(), ..WriteOptions::default() };
        let target = Target::new(Resource::from(kind), ObjectKey::new(SERVICE.0, SERVICE.1));
        let done = match there {
            true => self.update(&caller, &target, object, &options).await,
            false => self.create(&caller, &target, object, &options).await,
        };
        match done {
            Err(e) if !e.is_conflict() && !e.is_already_exists() => Err(e),
            _ => Ok(()),
        }
    }
}

fn meta(label: (&str, &str)) -> ObjectMeta {
    let labels = [(label.0.to_owned(), label.1.to_owned())].into();
    ObjectMeta { namespace: Some(SERVICE.0.into()), name: Some(SERVICE.1.into()), labels: Some(labels), ..ObjectMeta::default() }
}

fn endpoints(all: &BTreeSet<IpAddr>, port: u16) -> Endpoints {
    let addresses = all.iter().map(|ip| EndpointAddress { ip: ip.to_string(), ..EndpointAddress::default() }).collect();
    let ports = vec![EndpointPort { name: Some("https".into()), port: port.into(), protocol: Some("TCP".into()), ..EndpointPort::default() }];
    let subset = EndpointSubset { addresses: Some(addresses), ports: Some(ports), ..EndpointSubset::default() };
    Endpoints { metadata: meta(("endpointslice.kubernetes.io/skip-mirror", "true")), subsets: Some(vec![subset]) }
}

fn slice(all: &BTreeSet<IpAddr>, port: u16) -> EndpointSlice {
    let v6 = all.first().is_some_and(IpAddr::is_ipv6);
    let ready = EndpointConditions { ready: Some(true), ..EndpointConditions::default() };
    let one = |ip: &IpAddr| Endpoint { addresses: vec![ip.to_string()], conditions: Some(ready.clone()), ..Endpoint::default() };
    let ports = vec![SlicePort { name: Some("https".into()), port: Some(port.into()), protocol: Some("TCP".into()), ..SlicePort::default() }];
    EndpointSlice {
        metadata: meta(("kubernetes.io/service-name", SERVICE.1)),
        address_type: if v6 { "IPv6" } else { "IPv4" }.into(),
        endpoints: Some(all.iter().filter(|ip| ip.is_ipv6() == v6).map(one).collect()),
        ports: Some(ports),
    }
}
