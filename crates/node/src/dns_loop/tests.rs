//! A server on real sockets, asked by ourselves and by `dig`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache::{Entry, Interest, Snapshot, Subscription, Tables, Write};
use dns::proto::op::{Message, Query, ResponseCode};
use dns::proto::rr::rdata::A;
use dns::proto::rr::{Name, RData, Record, RecordType};
use kinds::api::core::v1::{Service, ServiceSpec};
use kinds::{Object, ObjectMeta, Revision};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// An image that the test changes.
struct Image(Mutex<Tables>);

impl Image {
    fn put(&self, object: impl Into<Object>) {
        let mut tables = self.0.lock();
        let revision = Revision(tables.revision().0 + 1);
        let object = object.into();
        let (key, resource) = (object.key(), object.resource());
        let entry = Entry::new(key.clone(), object, bytes::Bytes::new(), revision);
        tables.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) });
    }
}

impl Source for Image {
    fn snapshot(&self) -> Snapshot {
        self.0.lock().snapshot()
    }
    fn subscribe(&self, _: Interest) -> Box<dyn Subscription> {
        unimplemented!("DNS reads snapshots only")
    }
}

fn service(name: &str, ip: &str, alias: Option<&str>) -> Service {
    let spec = ServiceSpec {
        cluster_ip: alias.is_none().then(|| ip.into()),
        type_: Some(if alias.is_some() { "ExternalName" } else { "ClusterIP" }.into()),
        external_name: alias.map(Into::into),
        ..Default::default()
    };
    let metadata = ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), ..Default::default() };
    Service { metadata, spec: Some(spec), ..Default::default() }
}

/// An upstream that answers every A query with 192.0.2.53, but for names with `gone` in them; counts questions.
async fn upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let (at, count) = (socket.local_addr().expect("bound"), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut buf = [0; 4096];
        while let Ok((n, peer)) = socket.recv_from(&mut buf).await {
            counted.fetch_add(1, Ordering::Relaxed);
            let query = Message::from_vec(&buf[..n]).expect("a query");
            let name = query.queries[0].name().clone();
            let mut reply = dns::failure(&query, ResponseCode::NoError);
            if name.to_string().contains("gone") {
                reply.metadata.response_code = ResponseCode::NXDomain;
            } else {
                reply.add_answer(Record::from_rdata(name, 300, RData::A(A(Ipv4Addr::new(192, 0, 2, 53)))));
            }
            socket.send_to(&reply.to_vec().expect("encoded"), peer).await.expect("sent");
        }
    });
    (at, count)
}

struct Lab {
    image: Arc<Image>,
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    stop: CancellationToken,
    handle: DnsHandle,
}

async fn lab() -> Lab {
    let (upstream, asked) = upstream().await;
    let image = Arc::new(Image(Mutex::default()));
    // A port that is free for both: the first for UDP decides.
    let at = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port");
    let sockets = DnsSockets::bind(&[at]).expect("bind");
    let zone = Zone::new(dns::Config::new("cluster.local", vec![at.ip()])).expect("zone");
    let config = DnsConfig { zone, upstreams: Upstreams::fixed(vec![upstream]) };
    let stop = CancellationToken::new();
    let handle = start_dns(config, sockets, Arc::<Image>::clone(&image), stop.clone()).expect("start");
    image.put(service("web", "10.96.1.1", None));
    image.put(service("out", "", Some("www.example.org")));
    image.put(service("lost", "", Some("gone.example.org")));
    image.put(service("same", "", Some("web.ns.svc.cluster.local")));
    image.put(service("round", "", Some("round.ns.svc.cluster.local")));
    Lab { image, at, asked, stop, handle }
}

fn question(name: &str) -> Message {
    let mut q = Message::query();
    q.metadata.recursion_desired = true;
    q.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::A));
    q
}

async fn udp(at: SocketAddr, bytes: &[u8]) -> Message {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    socket.send_to(bytes, at).await.expect("send");
    let mut buf = [0; 4096];
    let n = tokio::time::timeout(PATIENCE, socket.recv(&mut buf)).await.expect("an answer in time").expect("an answer");
    Message::from_vec(&buf[..n]).expect("a message")
}

async fn ask(lab: &Lab, name: &str) -> String {
    let q = question(name);
    let m = udp(lab.at, &q.to_vec().expect("encoded")).await;
    assert_eq!((m.metadata.id, &m.queries), (q.metadata.id, &q.queries));
    show(&m)
}

fn show(m: &Message) -> String {
    let data: Vec<String> = m.answers.iter().map(|r| r.data.to_string()).collect();
    format!("{:?} {}", m.metadata.response_code, data.join(" "))
}

#[tokio::test(flavor = "current_thread")]
async fn names_of_the_cluster_and_others() {
    let lab = lab().await;
    assert_eq!(ask(&lab, "web.ns.svc.cluster.local.").await, "NoError 10.96.1.1");
    lab.image.put(service("web", "10.96.1.2", None));
    assert_eq!(ask(&lab, "web.ns.svc.cluster.local.").await, "NoError 10.96.1.2", "as fresh as the image");
    assert_eq!(ask(&lab, "nothing.ns.svc.cluster.local.").await, "NXDomain ");
    assert_eq!(lab.asked.load(Ordering::Relaxed), 0, "names of the cluster stay here");
    assert_eq!(ask(&lab, "www.example.org.").await, "NoError 192.0.2.53");
    assert_eq!(ask(&lab, "www.example.org.").await, "NoError 192.0.2.53");
    assert_eq!(ask(&lab, "WWW.example.org.").await, "NoError 192.0.2.53");
    assert_eq!(lab.asked.load(Ordering::Relaxed), 1, "the second answer is a kept one");
    lab.stop.cancel();
    lab.handle.stopped().await;
}

#[tokio::test(flavor = "current_thread")]
async fn aliases_lead_on() {
    let lab = lab().await;
    assert_eq!(ask(&lab, "out.ns.svc.cluster.local.").await, "NoError www.example.org. 192.0.2.53");
    assert_eq!(ask(&lab, "lost.ns.svc.cluster.local.").await, "NXDomain gone.example.org.");
    assert_eq!(ask(&lab, "same.ns.svc.cluster.local.").await, "NoError web.ns.svc.cluster.local. 10.96.1.1");
    assert!(ask(&lab, "round.ns.svc.cluster.local.").await.starts_with("ServFail "));
}

#[tokio::test(flavor = "current_thread")]
async fn streams_and_nonsense() {
    let lab = lab().await;
    let mut stream = tokio::net::TcpStream::connect(lab.at).await.expect("connect");
    for _ in 0..2 {
        let bytes = question("web.ns.svc.cluster.local.").to_vec().expect("encoded");
        stream.write_u16(bytes.len() as u16).await.expect("write");
        stream.write_all(&bytes).await.expect("write");
        let mut buf = vec![0; stream.read_u16().await.expect("length").into()];
        stream.read_exact(&mut buf).await.expect("answer");
        assert_eq!(show(&Message::from_vec(&buf).expect("message")), "NoError 10.96.1.1");
    }
    // A header that promises a question which is not there.
    let nonsense = udp(lab.at, &[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    assert_eq!((nonsense.metadata.id, nonsense.metadata.response_code), (0x0707, ResponseCode::FormErr));
    assert_eq!(ask(&lab, "web.ns.svc.cluster.local.").await, "NoError 10.96.1.1");
}

#[tokio::test(flavor = "current_thread")]
async fn without_upstreams_others_fail_at_once() {
    let image = Arc::new(Image(Mutex::default()));
    let at = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port");
    let zone = Zone::new(dns::Config::new("cluster.local", vec![])).expect("zone");
    let config = DnsConfig { zone, upstreams: Upstreams::fixed(Vec::new()) };
    let handle = start_dns(config, DnsSockets::bind(&[at]).expect("bind"), image, CancellationToken::new()).expect("start");
    let m = udp(at, &question("www.example.org.").to_vec().expect("encoded")).await;
    assert_eq!(m.metadata.response_code, ResponseCode::ServFail);
    drop(handle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_understands_us() {
    let lab = lab().await;
    let dig = |args: &'static [&'static str]| {
        let mut command = tokio::process::Command::new("dig");
        command.args(["@127.0.0.1", "-p", &lab.at.port().to_string(), "+noall", "+answer", "+comments", "+tries=1"]).args(args);
        async move { command.output().await.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()) }
    };
    let Ok(text) = dig(&["web.ns.svc.cluster.local", "A"]).await else {
        println!("SKIP dig_understands_us: no dig");
        return;
    };
    assert!(text.contains("status: NOERROR") && text.contains("flags: qr aa rd ra;"), "{text}");
    assert!(text.contains("web.ns.svc.cluster.local. 30\tIN\tA\t10.96.1.1"), "{text}");
    assert!(text.contains("EDNS: version: 0"), "{text}");
    let text = dig(&["+tcp", "1.1.96.10.in-addr.arpa", "PTR"]).await.expect("dig");
    assert!(text.contains("PTR\tweb.ns.svc.cluster.local."), "{text}");
    let text = dig(&["+short", "out.ns.svc.cluster.local"]).await.expect("dig");
    assert_eq!(text, "www.example.org.\n192.0.2.53\n");
    let text = dig(&["+authority", "web.ns.svc.cluster.local", "AAAA"]).await.expect("dig");
    assert!(text.contains("status: NOERROR") && text.contains("SOA\tns.dns.cluster.local."), "{text}");
    let text = dig(&["+edns=7", "+noednsneg", "web.ns.svc.cluster.local"]).await.expect("dig");
    assert!(text.contains("BADVERS"), "{text}");
}

#[test]
fn the_address_is_held_by_a_device() {
    if let Some(m) = net::probe().into_iter().find(|m| m.fatal) {
        println!("SKIP the_address_is_held_by_a_device: {}: {}", m.what, m.why);
        return;
    }
    let dir = tempfile::tempdir().expect("a scratch directory");
    let path = dir.path().join("ns");
    let ns = net::NetNs::create(&path).expect("namespace");
    let done = ns.run(|| {
        let (old, new): (IpAddr, IpAddr) = ("10.96.0.9".parse().expect("ip"), "10.96.0.10".parse().expect("ip"));
        ensure_addresses(&[old]).expect("old");
        ensure_addresses(&[new]).expect("new");
        ensure_addresses(&[new]).expect("again");
        DnsSockets::bind(&[SocketAddr::new(new, PORT)]).expect("bind");
        let v6: IpAddr = "fd00:10:96::a".parse().expect("ip");
        ensure_addresses(&[new, v6]).expect("both families");
        let server = std::net::UdpSocket::bind(SocketAddr::new(v6, PORT)).expect("bind");
        server.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
        let client = std::net::UdpSocket::bind("[::]:0").expect("bind");
        // The kernel makes the route to a new IPv6 address in its own time.
        let until = std::time::Instant::now() + PATIENCE;
        let arrives = || client.send_to(b"x", SocketAddr::new(v6, PORT)).is_ok() && server.recv(&mut [0; 8]).is_ok();
        while !arrives() {
            assert!(std::time::Instant::now() < until, "packets to the address arrive");
        }
        assert!(DnsSockets::bind(&[SocketAddr::new(old, PORT)]).is_err());
        remove_addresses().expect("remove");
    });
    net::NetNs::delete(&path).expect("delete");
    done.expect("inside the namespace");
}
