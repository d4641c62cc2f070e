//! The elements and chains of one service port in one family.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kinds::hash::Fnv32;

use crate::endpoints::{Endpoint, Routable};
use crate::flows::{Frontend, UdpFlows};
use crate::model::{Chain, Entry, Family, Field, FieldType, Key, Part, Rule, Set, SetKind, Side, Stmt, Table, Verdict};
use crate::plan::{Config, rule};
use crate::service::ServicePort;

/// A service port on its way into a table.
pub(crate) struct ServiceRules<'a> {
    pub(crate) family: Family,
    pub(crate) config: &'a Config,
    pub(crate) port: &'a ServicePort,
    pub(crate) routable: &'a Routable,
}

impl ServiceRules<'_> {
    pub(crate) fn write(&self, table: &mut Table, udp: &mut UdpFlows) {
        let Some(cluster_ip) = self.port.cluster_ip(self.family) else { return };
        let Routable { cluster, local, .. } = self.routable;
        put(table, "cluster-ips", vec![Field::Address(cluster_ip)], None, None);
        self.hairpins(table);
        self.firewall(table);
        let internal = if self.port.internal_local { local } else { cluster };
        let external = if self.port.external_local { local } else { cluster };
        let (wide, narrow) = (self.name("service"), self.name("local"));
        if !cluster.is_empty() && (!self.port.internal_local || self.port.is_external()) {
            self.dispatch(table, &wide, cluster);
        }
        if !local.is_empty() && (self.port.internal_local || (self.port.external_local && self.port.is_external())) {
            self.dispatch(table, &narrow, local);
        }
        let internal_chain = if self.port.internal_local { &narrow } else { &wide };
        self.lead(table, udp, &[cluster_ip], None, internal, (!internal.is_empty()).then_some(internal_chain.clone()));
        if self.port.is_external() {
            let chain = self.external(table, &wide, &narrow);
            self.lead(table, udp, &self.external_ips(), self.port.node_port, external, chain);
        }
    }

    fn name(&self, role: &str) -> String {
        format!("{role}-{}", self.port.chain_suffix())
    }

    fn external_ips(&self) -> Vec<IpAddr> {
        let all = self.port.external_ips.iter().chain(&self.port.load_balancer_ips);
        all.copied().filter(|ip| Family::of(*ip) == self.family).collect()
    }

    fn address_key(&self, ip: IpAddr) -> Key {
        vec![Field::Address(ip), Field::Protocol(self.port.protocol), Field::Port(self.port.port)]
    }

    /// Files addresses and the node port: under the chain that serves them, and under a refusal when nobody serves.
    fn lead(&self, table: &mut Table, udp: &mut UdpFlows, ips: &[IpAddr], node_port: Option<u16>, to: &[Endpoint], chain: Option<String>) {
        let title = self.port.title();
        // Endpoints elsewhere only, policy Local: dropped, so that balancers try another node. None at all: refused at once.
        let refusal = match (to.is_empty(), self.routable.any) {
            (false, _) => None,
            (true, true) => Some(Verdict::Drop),
            (true, false) => Some(Verdict::Goto("reject-chain".into())),
        };
        let mut keys: Vec<(Key, &str, &str, Frontend)> = Vec::new();
        for ip in ips {
            keys.push((self.address_key(*ip), "service-ips", "no-endpoint-services", Frontend::Address(*ip, self.port.port)));
        }
        if let Some(port) = node_port {
            let key = vec![Field::Protocol(self.port.protocol), Field::Port(port)];
            keys.push((key, "service-nodeports", "no-endpoint-nodeports", Frontend::NodePort(port)));
        }
        for (key, served, refused, frontend) in keys {
            if let Some(chain) = &chain {
                put(table, served, key.clone(), Some(Verdict::Goto(chain.clone())), None);
            }
            if let Some(verdict) = &refusal {
                put(table, refused, key, Some(verdict.clone()), Some(&title));
            }
            if self.port.protocol == crate::Protocol::Udp {
                // Local clients of policy Local are led to all endpoints.
                let reachable = to.iter().chain(&self.routable.cluster).map(|e| (e.ip, e.port));
                udp.0.entry(frontend).or_default().extend(reachable);
            }
        }
    }

    /// The chain for clients that come by an external address; `None` when no packet gets further.
    fn external(&self, table: &mut Table, wide: &str, narrow: &str) -> Option<String> {
        let Routable { cluster, local, .. } = self.routable;
        let goto = |chain: &str| Stmt::Verdict(Verdict::Goto(chain.into()));
        let mark = || Stmt::Verdict(Verdict::Jump("mark-for-masquerade".into()));
        let mut rules: Vec<Rule> = Vec::new();
        if !self.port.external_local {
            if cluster.is_empty() {
                return None;
            }
            rules.push(rule(vec![mark()]));
            rules.push(rule(vec![goto(wide)]));
        } else {
            if !cluster.is_empty() {
                // Pods and the node itself are not outside: they are led as if they had used the cluster IP.
                for net in self.config.pod_cidrs.iter().filter(|c| Family::of_net(c) == self.family) {
                    rules.push(rule(vec![Stmt::Net { side: Side::Source, net: *net, negate: false }, goto(wide)]));
                }
                let here = Stmt::Local { side: Side::Source, negate: false };
                rules.push(rule(vec![here.clone(), mark()]));
                rules.push(rule(vec![here, goto(wide)]));
            }
            if !local.is_empty() {
                rules.push(rule(vec![goto(narrow)]));
            }
        }
        let name = self.name("external");
        let chain = (!rules.is_empty()).then(|| name.clone());
        if chain.is_some() {
            table.chains.insert(name, Chain { base: None, rules });
        }
        chain
    }

    /// A chain that leads to one of some endpoints, the remembered one first.
    fn dispatch(&self, table: &mut Table, name: &str, to: &[Endpoint]) {
        let mut rules = Vec::new();
        rules.extend(self.cluster_ip_masquerade());
        match self.port.affinity_timeout_s {
            None => {
                let to = to.iter().map(|e| (e.ip, e.port)).collect();
                rules.push(rule(vec![Stmt::Dnat { protocol: self.port.protocol, to }]));
            }
            Some(timeout_s) => {
                let chains: Vec<(String, String)> = to.iter().map(|e| self.remembering(table, e, timeout_s)).collect();
                for (chain, set) in &chains {
                    let known = Stmt::In { key: vec![Part::Source], set: set.clone() };
                    rules.push(rule(vec![known, Stmt::Verdict(Verdict::Goto(chain.clone()))]));
                }
                rules.push(rule(vec![Stmt::RandomGoto(chains.into_iter().map(|(chain, _)| chain).collect())]));
            }
        }
        table.chains.insert(name.into(), Chain { base: None, rules });
    }

    /// Clients of the cluster IP that are no pods get the node's address, so that answers come back through it.
    fn cluster_ip_masquerade(&self) -> Option<Rule> {
        let ip = self.port.cluster_ip(self.family)?;
        let mark = Stmt::Verdict(Verdict::Jump("mark-for-masquerade".into()));
        let mut stmts = vec![Stmt::Net { side: Side::Destination, net: ip.into(), negate: false }];
        if !self.config.masquerade_all {
            let pods: Vec<_> = self.config.pod_cidrs.iter().filter(|c| Family::of_net(c) == self.family).collect();
            if pods.is_empty() {
                return None;
            }
            stmts.extend(pods.into_iter().map(|net| Stmt::Net { side: Side::Source, net: *net, negate: true }));
        }
        stmts.push(mark);
        Some(rule(stmts))
    }

    /// An endpoint's own chain, which remembers the client; returns it and the set of clients.
    fn remembering(&self, table: &mut Table, e: &Endpoint, timeout_s: u32) -> (String, String) {
        let mut hash = Fnv32::default();
        hash.update(format!("{}|{}|{}|{timeout_s}", self.port.chain_suffix(), e.ip, e.port).as_bytes());
        // The timeout is part of the name: a set's timeout cannot be changed.
        let tail = format!("{:08x}-{}__{}/{}", hash.finish(), self.port.chain_suffix(), e.ip, e.port).replace(':', ".");
        let (chain, set) = (format!("endpoint-{tail}"), format!("affinity-{tail}"));
        let kind = SetKind::Affinity { timeout_s };
        let key = vec![FieldType::Address];
        table.sets.insert(set.clone(), Set { kind, key, comment: None, elements: BTreeMap::new() });
        let dnat = Stmt::Dnat { protocol: self.port.protocol, to: vec![(e.ip, e.port)] };
        let rules = vec![rule(vec![Stmt::Remember { set: set.clone() }]), rule(vec![dnat])];
        table.chains.insert(chain.clone(), Chain { base: None, rules });
        (chain, set)
    }

    fn hairpins(&self, table: &mut Table) {
        let used = self.routable.cluster.iter().chain(&self.routable.local);
        for e in used.filter(|e| e.local || !e.placed) {
            put(table, "hairpin-endpoints", vec![Field::Address(e.ip), Field::Address(e.ip)], None, None);
        }
    }

    /// Load balancer addresses with source ranges let only those in.
    fn firewall(&self, table: &mut Table) {
        let ips = self.port.load_balancer_ips.iter().copied().filter(|ip| Family::of(*ip) == self.family);
        let ips: Vec<IpAddr> = ips.collect();
        let ranges = || self.port.source_ranges.iter().filter(|n| Family::of_net(n) == self.family);
        // Ranges of the other family alone say nothing about this one.
        if ranges().next().is_none() || ips.is_empty() {
            return;
        }
        let name = self.name("firewall");
        let mut rules: Vec<Rule> = Vec::new();
        for net in ranges() {
            rules.push(rule(vec![Stmt::Net { side: Side::Source, net: *net, negate: false }, Stmt::Verdict(Verdict::Return)]));
        }
        for ip in &ips {
            // The balancer's own checks may come from the address itself.
            rules.push(rule(vec![Stmt::Net { side: Side::Source, net: (*ip).into(), negate: false }, Stmt::Verdict(Verdict::Return)]));
            put(table, "firewall-ips", self.address_key(*ip), Some(Verdict::Goto(name.clone())), Some(&self.port.title()));
        }
        rules.push(rule(vec![Stmt::Verdict(Verdict::Drop)]));
        table.chains.insert(name, Chain { base: None, rules });
    }
}

/// Adds an element; the first of two services that claim the same key keeps it.
fn put(table: &mut Table, set: &str, key: Key, verdict: Option<Verdict>, comment: Option<&str>) {
    if let Some(set) = table.sets.get_mut(set) {
        set.elements.entry(key).or_insert_with(|| Entry { verdict, comment: comment.map(str::to_owned) });
    }
}
