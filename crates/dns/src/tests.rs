//! Names and their answers, as tables; and answers cut to the datagram.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cache::{Entry, Snapshot, Tables, Write};
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use kinds::api::core::v1::{Namespace, Pod, PodStatus, Service, ServicePort, ServiceSpec};
use kinds::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kinds::{Object, ObjectMeta, Revision};

use crate::{Config, Outcome, PodRecords, Zone, answer, fit};

fn meta(name: &str, service: Option<&str>) -> ObjectMeta {
    let labels = service.map(|s| BTreeMap::from([("kubernetes.io/service-name".to_owned(), s.to_owned())]));
    ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), labels, ..Default::default() }
}

fn service(name: &str, ips: &[&str], ports: &[(&str, i32)]) -> Object {
    let ports = ports.iter().map(|(n, p)| ServicePort { name: Some((*n).into()), port: *p, ..Default::default() });
    let spec = ServiceSpec {
        cluster_ip: ips.first().map(|ip| (*ip).into()),
        cluster_ips: Some(ips.iter().map(|ip| (*ip).into()).collect()),
        ports: Some(ports.collect()),
        ..Default::default()
    };
    Service { metadata: meta(name, None), spec: Some(spec), ..Default::default() }.into()
}

fn endpoint(ip: &str, hostname: Option<&str>, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.into()],
        hostname: hostname.map(Into::into),
        conditions: Some(EndpointConditions { ready: Some(ready), ..Default::default() }),
        ..Default::default()
    }
}

fn slice(service: &str, ports: &[(&str, i32)], endpoints: Vec<Endpoint>) -> Object {
    let ports = ports.iter().map(|(n, p)| EndpointPort { name: Some((*n).into()), port: Some(*p), ..Default::default() });
    EndpointSlice {
        address_type: "IPv4".into(),
        metadata: meta(&format!("{service}-x"), Some(service)),
        ports: Some(ports.collect()),
        endpoints: Some(endpoints),
    }
    .into()
}

fn snapshot(objects: Vec<Object>) -> Snapshot {
    let mut tables = Tables::default();
    for (object, n) in objects.into_iter().zip(1..) {
        let (key, resource) = (object.key(), object.resource());
        let entry = Entry::new(key.clone(), object, Bytes::new(), Revision(n));
        tables.apply(Write { resource, key, revision: Revision(n), entry: Some(Arc::new(entry)) });
    }
    tables.snapshot()
}

fn world() -> Snapshot {
    let namespace = Namespace { metadata: ObjectMeta { name: Some("ns".into()), ..Default::default() }, ..Default::default() };
    let alias = ServiceSpec { type_: Some("ExternalName".into()), external_name: Some("example.org".into()), ..Default::default() };
    let pod = Pod {
        metadata: meta("p", None),
        status: Some(PodStatus { pod_ip: Some("10.244.0.5".into()), ..Default::default() }),
        ..Default::default()
    };
    snapshot(vec![
        namespace.into(),
        service("web", &["10.96.1.1"], &[("http", 80), ("metrics", 9090)]),
        service("dual", &["10.96.1.2", "fd00::2"], &[("http", 80)]),
        service("head", &["None"], &[("http", 80)]),
        slice("head", &[("http", 8080)], vec![
            endpoint("10.244.0.5", Some("db-0"), true),
            endpoint("10.244.0.6", None, true),
            endpoint("10.244.0.7", Some("db-2"), false),
        ]),
        service("nobody", &["None"], &[("http", 80)]),
        Service { metadata: meta("alias", None), spec: Some(alias), ..Default::default() }.into(),
        pod.into(),
    ])
}

fn zone(pods: PodRecords) -> Zone {
    let config = Config::new("cluster.local", vec!["10.96.0.10".parse().expect("ip")]);
    Zone::new(Config { pods, ..config }).expect("a zone")
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut q = Message::query();
    q.metadata.recursion_desired = true;
    q.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    q
}

fn show(outcome: &Outcome) -> String {
    let (m, tail) = match outcome {
        Outcome::Forward => return "forward".into(),
        Outcome::Reply(m) => (m, String::new()),
        Outcome::Follow { reply, target, record_type } => (reply, format!(" follow {target} {record_type}")),
    };
    let part = |records: &[hickory_proto::rr::Record]| {
        let all: Vec<String> = records.iter().map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect();
        all.join(" | ")
    };
    let aa = if m.metadata.authoritative { "aa " } else { "" };
    let mut out = format!("{:?} {aa}[{}]", m.metadata.response_code, part(&m.answers));
    if !m.authorities.is_empty() {
        out.push_str(" soa");
    }
    if !m.additionals.is_empty() {
        out.push_str(&format!(" + {}", part(&m.additionals)));
    }
    out + &tail
}

#[track_caller]
fn check(name: &str, kind: RecordType, want: &str) {
    let got = answer(&world(), &query(name, kind), &zone(PodRecords::Insecure), 0);
    assert_eq!(show(&got), want, "{name} {kind}");
}

const NODATA: &str = "NoError aa [] soa";
const NXDOMAIN: &str = "NXDomain aa [] soa";

#[test]
fn cluster_ips() {
    check("web.ns.svc.cluster.local.", RecordType::A, "NoError aa [web.ns.svc.cluster.local. 30 A 10.96.1.1]");
    check("web.ns.svc.cluster.local.", RecordType::AAAA, NODATA);
    check("web.ns.svc.cluster.local.", RecordType::TXT, NODATA);
    check("dual.ns.svc.cluster.local.", RecordType::AAAA, "NoError aa [dual.ns.svc.cluster.local. 30 AAAA fd00::2]");
    check("none.ns.svc.cluster.local.", RecordType::A, NXDOMAIN);
    check("web.other.svc.cluster.local.", RecordType::A, NXDOMAIN);
    check("x.web.ns.svc.cluster.local.", RecordType::A, NXDOMAIN);
}

#[test]
fn names_keep_their_spelling() {
    check("WeB.ns.SVC.cluster.LOCAL.", RecordType::A, "NoError aa [WeB.ns.SVC.cluster.LOCAL. 30 A 10.96.1.1]");
}

#[test]
fn headless_services() {
    let both = "NoError aa [head.ns.svc.cluster.local. 30 A 10.244.0.5 | head.ns.svc.cluster.local. 30 A 10.244.0.6]";
    check("head.ns.svc.cluster.local.", RecordType::A, both);
    check("db-0.head.ns.svc.cluster.local.", RecordType::A, "NoError aa [db-0.head.ns.svc.cluster.local. 30 A 10.244.0.5]");
    check("10-244-0-6.head.ns.svc.cluster.local.", RecordType::A, "NoError aa [10-244-0-6.head.ns.svc.cluster.local. 30 A 10.244.0.6]");
    check("db-2.head.ns.svc.cluster.local.", RecordType::A, NXDOMAIN);
    check("nobody.ns.svc.cluster.local.", RecordType::A, NXDOMAIN);
    let turned = answer(&world(), &query("head.ns.svc.cluster.local.", RecordType::A), &zone(PodRecords::Insecure), 1);
    assert!(show(&turned).starts_with("NoError aa [head.ns.svc.cluster.local. 30 A 10.244.0.6 |"));
}

#[test]
fn ports_have_srv_records() {
    let one = "NoError aa [_http._tcp.web.ns.svc.cluster.local. 30 SRV 0 100 80 web.ns.svc.cluster.local.] \
               + web.ns.svc.cluster.local. 30 A 10.96.1.1";
    check("_http._tcp.web.ns.svc.cluster.local.", RecordType::SRV, one);
    check("_http._udp.web.ns.svc.cluster.local.", RecordType::SRV, NXDOMAIN);
    check("_none._tcp.web.ns.svc.cluster.local.", RecordType::SRV, NXDOMAIN);
    let n = "_http._tcp.head.ns.svc.cluster.local.";
    let each = format!(
        "NoError aa [{n} 30 SRV 0 50 8080 db-0.head.ns.svc.cluster.local. | {n} 30 SRV 0 50 8080 10-244-0-6.head.ns.svc.cluster.local.] \
         + db-0.head.ns.svc.cluster.local. 30 A 10.244.0.5 | 10-244-0-6.head.ns.svc.cluster.local. 30 A 10.244.0.6"
    );
    check(n, RecordType::SRV, &each);
}

#[test]
fn aliases_are_followed() {
    let name = "alias.ns.svc.cluster.local.";
    check(name, RecordType::A, &format!("NoError aa [{name} 30 CNAME example.org.] follow example.org. A"));
    check(name, RecordType::CNAME, &format!("NoError aa [{name} 30 CNAME example.org.]"));
    check("_http._tcp.alias.ns.svc.cluster.local.", RecordType::SRV, NXDOMAIN);
}

#[test]
fn pods() {
    let name = "10-244-0-5.ns.pod.cluster.local.";
    check(name, RecordType::A, &format!("NoError aa [{name} 30 A 10.244.0.5]"));
    check(name, RecordType::AAAA, NODATA);
    check("fd00--5.ns.pod.cluster.local.", RecordType::AAAA, "NoError aa [fd00--5.ns.pod.cluster.local. 30 AAAA fd00::5]");
    check("10-244-0-5.other.pod.cluster.local.", RecordType::A, NXDOMAIN);
    check("hello.ns.pod.cluster.local.", RecordType::A, NXDOMAIN);
    let of = |name, mode| show(&answer(&world(), &query(name, RecordType::A), &zone(mode), 0));
    assert!(of(name, PodRecords::Verified).starts_with("NoError aa [10"));
    assert_eq!(of("10-244-0-6.ns.pod.cluster.local.", PodRecords::Verified), NXDOMAIN);
    assert_eq!(of(name, PodRecords::Disabled), NXDOMAIN);
}

#[test]
fn reverse_names() {
    check("1.1.96.10.in-addr.arpa.", RecordType::PTR, "NoError aa [1.1.96.10.in-addr.arpa. 30 PTR web.ns.svc.cluster.local.]");
    check("5.0.244.10.in-addr.arpa.", RecordType::PTR, "NoError aa [5.0.244.10.in-addr.arpa. 30 PTR db-0.head.ns.svc.cluster.local.]");
    check("6.0.244.10.in-addr.arpa.", RecordType::PTR, "forward");
    check("1.96.10.in-addr.arpa.", RecordType::PTR, "forward");
    let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
    check(v6, RecordType::PTR, &format!("NoError aa [{v6} 30 PTR dual.ns.svc.cluster.local.]"));
}

#[test]
fn the_zone_itself() {
    check("cluster.local.", RecordType::SOA, "NoError aa [cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 8 7200 1800 86400 30]");
    check("cluster.local.", RecordType::NS, "NoError aa [cluster.local. 30 NS ns.dns.cluster.local.] + ns.dns.cluster.local. 30 A 10.96.0.10");
    check("cluster.local.", RecordType::A, NODATA);
    check("dns-version.cluster.local.", RecordType::TXT, "NoError aa [dns-version.cluster.local. 30 TXT 1.1.0]");
    check("ns.dns.cluster.local.", RecordType::A, "NoError aa [ns.dns.cluster.local. 30 A 10.96.0.10]");
    for name in ["svc.cluster.local.", "pod.cluster.local.", "ns.svc.cluster.local.", "ns.pod.cluster.local."] {
        check(name, RecordType::A, NODATA);
    }
    for name in ["other.svc.cluster.local.", "x.cluster.local.", "a.b.c.web.ns.svc.cluster.local.", "a.b.web.ns.svc.cluster.local."] {
        check(name, RecordType::A, NXDOMAIN);
    }
    check("example.org.", RecordType::A, "forward");
    check("xcluster.local.", RecordType::A, "forward");
}

#[test]
fn what_is_no_question_is_refused() {
    let code = |q: &Message| match answer(&world(), q, &zone(PodRecords::Insecure), 0) {
        Outcome::Reply(m) => m.metadata.response_code,
        other => panic!("{other:?}"),
    };
    let mut q = query("web.ns.svc.cluster.local.", RecordType::A);
    q.metadata.op_code = OpCode::Update;
    assert_eq!(code(&q), ResponseCode::NotImp);
    let mut q = query("web.ns.svc.cluster.local.", RecordType::A);
    q.queries.clear();
    assert_eq!(code(&q), ResponseCode::FormErr);
    let mut q = query("web.ns.svc.cluster.local.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    q.set_edns(edns);
    assert_eq!(code(&q), ResponseCode::BADVERS);
    assert_eq!(code(&query("cluster.local.", RecordType::AXFR)), ResponseCode::Refused);
}

#[test]
fn long_answers_are_cut_to_the_datagram() {
    let many = (0..100).map(|i| endpoint(&format!("10.244.1.{i}"), None, true)).collect();
    let s = snapshot(vec![service("big", &["None"], &[("p", 1)]), slice("big", &[("p", 1)], many)]);
    let check = |edns: Option<u16>, datagram: bool, limit: usize| {
        let mut q = query("big.ns.svc.cluster.local.", RecordType::A);
        if let Some(size) = edns {
            let mut e = Edns::new();
            e.set_max_payload(size);
            q.set_edns(e);
        }
        let Outcome::Reply(m) = answer(&s, &q, &zone(PodRecords::Insecure), 0) else { panic!("no reply") };
        let bytes = fit(&q, &m, datagram).expect("encoded");
        assert!(bytes.len() <= limit);
        let back = Message::from_vec(&bytes).expect("decoded");
        assert_eq!(back.edns.is_some(), edns.is_some());
        (back.metadata.truncation, back.answers.len())
    };
    let (cut, n) = check(None, true, 512);
    assert!(cut && (25..32).contains(&n), "{n}");
    assert_eq!(check(Some(4096), true, 4096), (false, 100));
    assert_eq!(check(None, false, 65535), (false, 100));
    assert!(check(Some(1232), true, 1232).0);
}
