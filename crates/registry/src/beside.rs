//! What a write carries beside its object in the same transaction, so that servers which share a store cannot both give away
//! the same thing in the same instant: the IPAddresses of a service's cluster IPs (KEP-1880), its ports in the record of node
//! ports, the quotas that it takes from. Each of these keys is guarded; whose guard fails looks again and decides anew.
//!
//! ```text
//!  put /registry/services/specs/NS/NAME   put /registry/ipaddresses/IP (absent)   put /registry/ranges/servicenodeports (at)
//!  put /registry/pods/NS/NAME             put /registry/resourcequotas/NS/QUOTA (at)
//! ```

use crate::expiry::EVENT_LIVES;
use crate::fieldowners::{self, whole};
use crate::keys;
use crate::ports::{self, Record};
use crate::registry::{Registry, rules_of};
use kinds::api::core::v1::Service;
use kinds::api::networking::v1::{IPAddress, IPAddressSpec, ParentReference};
use kinds::{ApiError, FieldErrors, Kind, Object, ObjectKey, ObjectMeta, Path, Resource};
use rules::admission::quota::Charge;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{CommitError, Committed, Expect, Op, Txn, TxnOp};

/// How often a write whose guard failed is decided anew (a plain patch has five tries; here somebody else always got on).
pub(crate) const CLASH_TRIES: usize = 64;
/// How often a write reads the record of node ports anew because another server changed it.
const RECORD_TRIES: usize = 64;
/// Who writes what stands beside a write.
const MANAGER: &str = "kube-apiserver";
const FAMILY_LABEL: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGED_BY_LABEL: &str = "ipaddress.kubernetes.io/managed-by";
/// What marks IPAddresses that stand for services.
pub(crate) const MANAGED_BY: &str = "ipallocator.k8s.io";

/// Why a write did not go through.
#[derive(Debug)]
pub(crate) enum Refused {
    /// For good, as far as the registry knows.
    Api(ApiError),
    /// Something beside the object was taken meanwhile: what is to be said when deciding anew does not help.
    Clash(ApiError),
}

impl From<ApiError> for Refused {
    fn from(e: ApiError) -> Self {
        Self::Api(e)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Api(e) | Refused::Clash(e) => e,
        }
    }
}

/// What goes with a write.
#[derive(Default)]
pub(crate) struct Beside {
    ops: Vec<TxnOp>,
    freed: BTreeSet<u16>,
    wanted: BTreeSet<u16>,
    kept: BTreeSet<u16>,
}

/// Addresses that a service has.
pub(crate) fn addresses(service: &Service) -> BTreeSet<IpAddr> {
    let all = service.spec.iter().flat_map(|s| s.cluster_ips.iter().flatten().chain(&s.cluster_ip));
    all.filter_map(|ip| ip.parse().ok()).collect()
}

/// Ports of the nodes that a service has.
pub(crate) fn node_ports(service: &Service) -> BTreeSet<u16> {
    let Some(spec) = &service.spec else { return BTreeSet::new() };
    let own = spec.ports.iter().flatten().filter_map(|p| p.node_port);
    own.chain(spec.health_check_node_port).filter(|n| *n != 0).filter_map(|n| u16::try_from(n).ok()).collect()
}

/// Whether an address object stands for that service.
pub(crate) fn stands_for(address: &IPAddress, key: &ObjectKey) -> bool {
    let p = &address.spec.parent_ref;
    let group = p.group.as_deref().unwrap_or_default();
    (group, p.resource.as_str(), p.namespace.as_deref().unwrap_or_default(), p.name.as_str())
        == ("", "services", key.namespace.as_str(), key.name.as_str())
}

/// Whether an address object was made for a service.
pub(crate) fn is_ours(address: &IPAddress) -> bool {
    address.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY_LABEL)).is_some_and(|m| m == MANAGED_BY)
}

impl Registry {
    /// What goes with writing (or, without `new`, removing) an object.
    pub(crate) fn beside(
        &self,
        resource: &Resource,
        key: &ObjectKey,
        new: Option<&Object>,
        charges: &[Charge],
    ) -> Result<Beside, ApiError> {
        let mut beside = Beside::default();
        if resource.builtin() == Some(Kind::Service) {
            self.beside_service(key, new, &mut beside)?;
        }
        for charge in charges {
            beside.ops.push(self.charge_op(charge)?);
        }
        Ok(beside)
    }

    fn beside_service(&self, key: &ObjectKey, new: Option<&Object>, beside: &mut Beside) -> Result<(), ApiError> {
        let snapshot = self.snapshot();
        let old = snapshot.find::<Service>(key);
        let new = new.and_then(|o| o.typed::<Service>());
        let (had, has) = (old.map(|s| addresses(s)).unwrap_or_default(), new.map(|s| addresses(s)).unwrap_or_default());
        let held = |ip: &IpAddr| snapshot.find::<IPAddress>(&ObjectKey::cluster(ip.to_string()));
        for ip in has.difference(&had) {
            // The first service's address may have been there before it.
            if !held(ip).is_some_and(|a| stands_for(a, key)) {
                beside.ops.push(self.address_op(*ip, key)?);
            }
        }
        for ip in had.difference(&has).filter(|ip| held(ip).is_none_or(|a| stands_for(a, key))) {
            let path = keys::encode(&Kind::IPAddress.into(), &ObjectKey::cluster(ip.to_string()));
            beside.ops.push(TxnOp { key: path.into(), expect: Expect::Any, op: Op::Delete });
        }
        let (had, has) = (old.map(|s| node_ports(s)).unwrap_or_default(), new.map(|s| node_ports(s)).unwrap_or_default());
        beside.freed = had.difference(&has).copied().collect();
        beside.wanted = has.difference(&had).copied().collect();
        beside.kept = has.intersection(&had).copied().collect();
        Ok(())
    }

    /// The operation that takes an address for a service.
    pub(crate) fn address_op(&self, ip: IpAddr, service: &ObjectKey) -> Result<TxnOp, ApiError> {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let labels = [(FAMILY_LABEL, family), (MANAGED_BY_LABEL, MANAGED_BY)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut object = Object::from(IPAddress {
            metadata: ObjectMeta { name: Some(ip.to_string()), labels: Some(labels.into()), ..ObjectMeta::default() },
            spec: IPAddressSpec {
                parent_ref: ParentReference {
                    resource: "services".into(),
                    namespace: Some(service.namespace.clone()),
                    name: service.name.clone(),
                    ..ParentReference::default()
                },
            },
        });
        let resource = Kind::IPAddress.into();
        (rules_of(&resource).default)(&mut object);
        self.fill_metadata(&mut object);
        (rules_of(&resource).prepare_create)(&mut object);
        fieldowners::settle(&mut object, None, &self.own_writing(""));
        self.op(&resource, &object, Expect::Absent)
    }

    fn own_writing(&self, subresource: &'static str) -> fieldowners::Writing<'static> {
        fieldowners::Writing { manager: MANAGER, subresource, now: self.clock.now(), view: None, version: None, tongues: None }
    }

    /// The operation that writes what a quota will have given away.
    fn charge_op(&self, charge: &Charge) -> Result<TxnOp, ApiError> {
        let resource = Resource::from(Kind::ResourceQuota);
        let entry = self.get(&resource, &charge.quota)?;
        let mut object = whole(entry.object(), &entry.json);
        if let Object::ResourceQuota(quota) = &mut object {
            Arc::make_mut(quota).status = Some(charge.status.clone());
        }
        fieldowners::settle(&mut object, Some(&entry), &self.own_writing("status"));
        object.meta_mut().resource_version = None;
        self.op(&resource, &object, Expect::At(entry.revision))
    }

    fn op(&self, resource: &Resource, object: &Object, expect: Expect) -> Result<TxnOp, ApiError> {
        let path = keys::encode(resource, &object.key());
        let (value, _) = self.stored(resource, &path, codec::encode(object))?;
        Ok(TxnOp { key: path.into(), expect, op: Op::Put { value: value.into(), companion: None, lives: None } })
    }

    /// An object's JSON as it is stored, and the JSON where that is something else.
    pub(crate) fn stored(&self, resource: &Resource, path: &str, json: Vec<u8>) -> Result<(Vec<u8>, Option<Vec<u8>>), ApiError> {
        if !codec::is_readable(&json) {
            return Err(ApiError::bad_request("the object and its managed fields have more levels than can be read again"));
        }
        let formed = codec::storage::to_stored(self.form, resource, &json).map_err(ApiError::internal)?;
        let sealed = self.seals.seal(resource, path, formed.as_deref().unwrap_or(&json)).map_err(ApiError::internal)?;
        Ok(match sealed.or(formed) {
            Some(stored) => (stored, Some(json)),
            None => (json, None),
        })
    }

    /// How long an object of that kind lives in a store that removes keys by itself.
    pub(crate) fn lives(resource: &Resource) -> Option<Duration> {
        (resource.builtin().map(Kind::stored_as) == Some(Kind::Event)).then_some(EVENT_LIVES)
    }

    /// Commits a write with what goes with it.
    pub(crate) async fn commit_beside(
        &self,
        main: Txn,
        beside: Beside,
        (resource, key): (&Resource, &ObjectKey),
        said: impl Fn(&CommitError) -> ApiError,
    ) -> Result<Committed, Refused> {
        let path = main.ops[0].key.clone();
        let judge = |e: CommitError| match &e {
            CommitError::Conflict { key: at, .. } if *at != path => Refused::Clash(clash(resource, key, at)),
            e => Refused::Api(said(e)),
        };
        let Beside { ops, freed, wanted, kept } = beside;
        let with = |extra: Option<TxnOp>| {
            let mut txn = main.clone();
            txn.ops.extend(ops.iter().cloned().chain(extra));
            txn
        };
        if freed.is_empty() && wanted.is_empty() {
            return self.engine.commit(with(None)).await.map_err(judge);
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let (mut record, expect) = self.port_record().await?;
            freed.iter().for_each(|p| record.release(*p));
            kept.iter().for_each(|p| record.take(*p));
            if let Some(port) = wanted.iter().find(|p| record.has(**p)) {
                return Err(Refused::Clash(port_taken(key, *port)));
            }
            wanted.iter().for_each(|p| record.take(*p));
            let op = Op::Put { value: record.encode().into(), companion: None, lives: None };
            match self.engine.commit(with(Some(TxnOp { key: ports::KEY.into(), expect, op }))).await {
                Err(CommitError::Conflict { key: at, .. }) if at == ports::KEY.as_bytes() && tries < RECORD_TRIES => {}
                done => return done.map_err(judge),
            }
        }
    }

    /// The record of node ports as the store has it now, and how to guard it.
    pub(crate) async fn port_record(&self) -> Result<(Record, Expect), ApiError> {
        let range = self.settings.config.node_ports;
        let found = self.engine.get(ports::KEY.into(), None).await.map_err(|e| ApiError::unavailable(e.to_string()))?;
        let Some(kv) = found else { return Ok((self.port_record_made(range), Expect::Absent)) };
        let record = Record::decode(&kv.value, range).map_err(|why| ApiError::internal(format!("{}: {why}", ports::KEY)))?;
        let record = match record {
            Some(record) => record,
            // Servers with another range wrote it (kubeadm's, with another --service-node-port-range): ours takes its place with
            // the next write. What was written together with theirs is seen by then.
            None => {
                self.image.reached(kv.mod_revision).await;
                self.port_record_made(range)
            }
        };
        Ok((record, Expect::At(kv.mod_revision)))
    }

    /// A record of what the services have.
    pub(crate) fn port_record_made(&self, range: (u16, u16)) -> Record {
        let mut record = Record::new(range);
        for service in self.snapshot().list::<Service>("") {
            node_ports(service).into_iter().for_each(|p| record.take(p));
        }
        record
    }
}

/// What is said when deciding anew did not help.
fn clash(resource: &Resource, key: &ObjectKey, at: &[u8]) -> ApiError {
    let name = String::from_utf8_lossy(at.rsplit(|b| *b == b'/').next().unwrap_or_default()).into_owned();
    if at.starts_with(keys::prefix(&Kind::IPAddress.into()).as_bytes()) {
        let mut errors = FieldErrors::default();
        let why = format!("failed to allocate IP {name}: provided IP is already allocated");
        errors.invalid(&Path::new("spec.clusterIPs"), name, why);
        return ApiError::invalid("", "Service", &key.name, &errors);
    }
    if at.starts_with(keys::prefix(&Kind::ResourceQuota.into()).as_bytes()) {
        return ApiError::modified(&Kind::ResourceQuota.into(), &name);
    }
    ApiError::modified(resource, &key.name)
}

fn port_taken(key: &ObjectKey, port: u16) -> ApiError {
    let mut errors = FieldErrors::default();
    errors.invalid(&Path::new("spec.ports").child("nodePort"), i32::from(port), "provided port is already allocated");
    ApiError::invalid("", "Service", &key.name, &errors)
}

#[cfg(test)]
mod tests;
