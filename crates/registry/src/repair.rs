//! Addresses and node ports that got lost between two writes: the repair loops of kube-apiserver. What a service has is taken;
//! what was taken for nobody is given back when it was so several times, since somebody may be about to use it.

use crate::beside::{addresses, is_ours, node_ports, stands_for};
use crate::ports;
use crate::registry::Registry;
use jiff::SignedDuration;
use kinds::api::core::v1::Service;
use kinds::api::networking::v1::IPAddress;
use kinds::{ApiError, Kind, ObjectKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use store::{Expect, Op, Txn, TxnOp};

/// A port that is nobody's is given back after so many rounds.
const LEAK_ROUNDS: u32 = 3;
/// An address object without its service may be this young: the service is about to be written.
const ADDRESS_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// What earlier rounds saw.
#[derive(Debug, Default)]
pub struct Leaks(BTreeMap<u16, u32>);

impl Registry {
    /// One round.
    ///
    /// # Errors
    /// The store does not answer, or another server was quicker: the next round mends the rest.
    pub async fn repair_allocations(&self, leaks: &mut Leaks) -> Result<(), ApiError> {
        self.repair_ports(leaks).await?;
        self.repair_addresses().await
    }

    async fn repair_ports(&self, leaks: &mut Leaks) -> Result<(), ApiError> {
        let (mut record, expect) = self.port_record().await?;
        // Services that were written with the record are seen then.
        self.catch_up().await?;
        let snapshot = self.snapshot();
        let used: BTreeSet<u16> = snapshot.list::<Service>("").flat_map(|s| node_ports(s)).collect();
        let before = record.clone();
        used.iter().for_each(|p| record.take(*p));
        let leaked: Vec<u16> = record.taken().filter(|p| !used.contains(p)).collect();
        leaks.0.retain(|p, _| leaked.contains(p));
        for port in leaked {
            let rounds = leaks.0.entry(port).or_default();
            *rounds += 1;
            if *rounds >= LEAK_ROUNDS {
                record.release(port);
            }
        }
        if record == before && expect != Expect::Absent {
            return Ok(());
        }
        let txn = Txn::put(ports::KEY, record.encode(), expect);
        self.engine.commit(txn).await.map(|_| ()).map_err(|e| ApiError::unavailable(e.to_string()))
    }

    async fn repair_addresses(&self) -> Result<(), ApiError> {
        let snapshot = self.snapshot();
        let networks: Vec<_> = self.settings.config.service_cidrs.clone();
        for service in snapshot.list::<Service>("") {
            let key = ObjectKey::of(&service.metadata);
            for ip in addresses(service) {
                let missing = snapshot.find::<IPAddress>(&ObjectKey::cluster(ip.to_string())).is_none();
                if missing && !networks.is_empty() {
                    let txn = Txn { ops: vec![self.address_op(ip, &key)?] };
                    // Whoever was quicker did the same.
                    let _ = self.engine.commit(txn).await;
                }
            }
        }
        let owned = |a: &IPAddress, ip: IpAddr| {
            let of = &a.spec.parent_ref;
            let service = snapshot.get::<Service>(of.namespace.as_deref().unwrap_or_default(), &of.name);
            service.is_some_and(|s| stands_for(a, &ObjectKey::of(&s.metadata)) && addresses(s).contains(&ip))
        };
        let old = self.now().checked_sub(ADDRESS_GRACE).map_err(ApiError::internal)?;
        for entry in snapshot.table(&Kind::IPAddress.into()).into_iter().flat_map(|t| t.iter()) {
            let Some(address) = entry.object().typed::<IPAddress>().filter(|a| is_ours(a)) else { continue };
            let young = entry.meta().creation_timestamp.as_ref().is_none_or(|t| t.0 > old);
            let lost = !young && entry.key.name.parse::<IpAddr>().is_ok_and(|ip| !owned(address, ip));
            if lost {
                let path = crate::keys::encode(&Kind::IPAddress.into(), &entry.key);
                let op = TxnOp { key: path.into(), expect: Expect::At(entry.revision), op: Op::Delete };
                let _ = self.engine.commit(Txn { ops: vec![op] }).await;
            }
        }
        Ok(())
    }
}
