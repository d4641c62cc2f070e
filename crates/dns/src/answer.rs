//! A query's answer.

use std::net::IpAddr;

use cache::Snapshot;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::find::{self, Found, Hit};
use crate::question::{PodRecords, Question, Zone, dashed};
use crate::reply::{deny, failure, record, soa, start};

/// The version of the specification that is served.
const SPECIFICATION: &str = "1.1.0";
/// SRV weights of one name add up to this.
const WEIGHT: usize = 100;

/// What is to be done with a query.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// This is the answer.
    Reply(Message),
    /// The name is not ours: ask upstream.
    Forward,
    /// The answer so far is an alias; records of `target` are to be added.
    Follow {
        /// The answer with the alias in it.
        reply: Message,
        /// The name that it is an alias of.
        target: Name,
        /// The type that was asked for.
        record_type: RecordType,
    },
}

/// Answers a query from an image of the cluster. `turn` changes from query to query and rotates addresses, so that clients who
/// take the first spread.
#[must_use]
pub fn answer(snapshot: &Snapshot, query: &Message, zone: &Zone, turn: usize) -> Outcome {
    let reject = |code| Outcome::Reply(failure(query, code));
    let meta = &query.metadata;
    if meta.message_type != MessageType::Query {
        return reject(ResponseCode::FormErr);
    }
    if meta.op_code != OpCode::Query {
        return reject(ResponseCode::NotImp);
    }
    if query.edns.as_ref().is_some_and(|e| e.version() != 0) {
        return reject(ResponseCode::BADVERS);
    }
    let [question] = query.queries.as_slice() else { return reject(ResponseCode::FormErr) };
    if question.query_class() != DNSClass::IN {
        return reject(ResponseCode::Refused);
    }
    if matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
        return reject(ResponseCode::Refused);
    }
    let asked = Question::read(question.name(), zone);
    let a = Answering { snapshot, zone, query, name: question.name(), kind: question.query_type(), turn };
    match asked {
        Question::Foreign => Outcome::Forward,
        Question::Reverse(ip) => a.reverse(ip),
        other => a.ours(&other),
    }
}

struct Answering<'a> {
    snapshot: &'a Snapshot,
    zone: &'a Zone,
    query: &'a Message,
    name: &'a Name,
    kind: RecordType,
    turn: usize,
}

impl Answering<'_> {
    fn ours(&self, question: &Question) -> Outcome {
        match question {
            Question::Apex => self.apex(),
            Question::Empty => self.no_data(),
            Question::Version => self.of_type(RecordType::TXT, || vec![RData::TXT(TXT::new(vec![SPECIFICATION.into()]))]),
            Question::Server => self.addresses(self.zone.config.dns_ips.clone()),
            Question::Namespace(namespace) if find::namespace_exists(self.snapshot, namespace) => self.no_data(),
            Question::Service { namespace, service, port, endpoint } => {
                let found = find::service(self.snapshot, namespace, service, port.as_ref(), endpoint.as_deref());
                self.service(found, namespace, service)
            }
            Question::Pod { namespace, address } => self.pod(namespace, address),
            _ => self.no_name(),
        }
    }

    fn revision(&self) -> u64 {
        self.snapshot.revision().0
    }

    fn no_data(&self) -> Outcome {
        Outcome::Reply(deny(start(self.query), self.zone, self.revision(), ResponseCode::NoError))
    }

    fn no_name(&self) -> Outcome {
        Outcome::Reply(deny(start(self.query), self.zone, self.revision(), ResponseCode::NXDomain))
    }

    /// Records of the asked name; none is no data.
    fn records(&self, data: Vec<RData>) -> Outcome {
        if data.is_empty() {
            return self.no_data();
        }
        let mut reply = start(self.query);
        reply.metadata.authoritative = true;
        for d in data {
            reply.add_answer(record(self.name, self.zone, d));
        }
        Outcome::Reply(reply)
    }

    fn of_type(&self, kind: RecordType, data: impl FnOnce() -> Vec<RData>) -> Outcome {
        if self.kind == kind || self.kind == RecordType::ANY { self.records(data()) } else { self.no_data() }
    }

    fn apex(&self) -> Outcome {
        let server = self.zone.name(&["ns", "dns"]);
        match self.kind {
            RecordType::SOA => {
                let mut reply = start(self.query);
                reply.metadata.authoritative = true;
                reply.answers.extend(soa(self.zone, self.revision()));
                Outcome::Reply(reply)
            }
            RecordType::NS => {
                let Some(server) = server else { return self.no_data() };
                let Outcome::Reply(mut reply) = self.records(vec![RData::NS(NS(server.clone()))]) else { return self.no_data() };
                for ip in &self.zone.config.dns_ips {
                    reply.add_additional(record(&server, self.zone, address(*ip)));
                }
                Outcome::Reply(reply)
            }
            _ => self.no_data(),
        }
    }

    /// Those addresses that are of the asked type, beginning with another each turn.
    fn addresses(&self, ips: Vec<IpAddr>) -> Outcome {
        let mut ips: Vec<IpAddr> = ips.into_iter().filter(|ip| self.wants(*ip)).collect();
        let mut seen = Vec::new();
        ips.retain(|ip| {
            let new = !seen.contains(ip);
            seen.push(*ip);
            new
        });
        if !ips.is_empty() {
            let by = self.turn % ips.len();
            ips.rotate_left(by);
        }
        self.records(ips.into_iter().map(address).collect())
    }

    fn wants(&self, ip: IpAddr) -> bool {
        match self.kind {
            RecordType::A => ip.is_ipv4(),
            RecordType::AAAA => ip.is_ipv6(),
            RecordType::ANY => true,
            _ => false,
        }
    }

    fn service(&self, found: Found, namespace: &str, service: &str) -> Outcome {
        match found {
            Found::Nothing => self.no_name(),
            Found::Alias(target) => self.alias(&target),
            Found::Hits(hits) if self.kind == RecordType::SRV => self.srv(hits, namespace, service),
            Found::Hits(hits) => self.addresses(hits.into_iter().map(|h| h.ip).collect()),
        }
    }

    fn alias(&self, target: &str) -> Outcome {
        let Ok(mut target) = Name::from_ascii(target.trim_end_matches('.')) else { return self.no_data() };
        target.set_fqdn(true);
        let Outcome::Reply(reply) = self.records(vec![RData::CNAME(CNAME(target.clone()))]) else { return self.no_data() };
        match self.kind {
            RecordType::A | RecordType::AAAA => Outcome::Follow { reply, target, record_type: self.kind },
            _ => Outcome::Reply(reply),
        }
    }

    fn srv(&self, hits: Vec<Hit>, namespace: &str, service: &str) -> Outcome {
        let with_port: Vec<&Hit> = hits.iter().filter(|h| h.port.is_some()).collect();
        let weight = (WEIGHT / with_port.len().max(1)).max(1) as u16;
        let (mut data, mut additional): (Vec<RData>, Vec<Record>) = (Vec::new(), Vec::new());
        for hit in with_port {
            let base = [service, namespace, "svc"];
            let labels: Vec<&str> = hit.host.as_deref().into_iter().chain(base).collect();
            let (Some(target), Some(port)) = (self.zone.name(&labels), hit.port) else { continue };
            let srv = RData::SRV(SRV::new(0, weight, port, target.clone()));
            if !data.contains(&srv) {
                data.push(srv);
            }
            let extra = record(&target, self.zone, address(hit.ip));
            if !additional.contains(&extra) {
                additional.push(extra);
            }
        }
        match self.records(data) {
            Outcome::Reply(mut reply) => {
                if !reply.answers.is_empty() {
                    reply.additionals = additional;
                }
                Outcome::Reply(reply)
            }
            other => other,
        }
    }

    fn pod(&self, namespace: &str, name: &str) -> Outcome {
        let ip = dashed(name).filter(|_| find::namespace_exists(self.snapshot, namespace));
        let known = |ip: &IpAddr| match self.zone.config.pods {
            PodRecords::Disabled => false,
            PodRecords::Insecure => true,
            PodRecords::Verified => find::pod_has(self.snapshot, namespace, *ip),
        };
        match ip.filter(known) {
            Some(ip) => self.addresses(vec![ip]),
            None => self.no_name(),
        }
    }

    /// Addresses that nobody here has may have names elsewhere.
    fn reverse(&self, ip: IpAddr) -> Outcome {
        if self.kind != RecordType::PTR {
            return Outcome::Forward;
        }
        let names = find::names_of(self.snapshot, ip);
        let pointers: Vec<RData> = names
            .iter()
            .filter_map(|(host, service, namespace)| {
                let base = [service.as_str(), namespace.as_str(), "svc"];
                let labels: Vec<&str> = host.as_deref().into_iter().chain(base).collect();
                Some(RData::PTR(PTR(self.zone.name(&labels)?)))
            })
            .collect();
        if pointers.is_empty() { Outcome::Forward } else { self.records(pointers) }
    }
}

fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}
