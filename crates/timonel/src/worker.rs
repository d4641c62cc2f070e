//! The node's wiring: container runtime, pod network, kubelet, service proxy, cluster DNS.

use crate::config::{CLUSTER_DOMAIN, Config};
use crate::control::{self, Control};
use crate::places::Places;
use crate::screen::Screen;
use anyhow::{Context, Result};
use apiserver::pki::{CERTIFICATE_LIFETIME, Request, Usage};
use ipnet::IpNet;
use kinds::{Api, Kind, ObjectKey, Target, WriteOptions};
use net::{PodNetwork, PodNetworkConfig};
use node::dns_loop::{self, DnsConfig, DnsSockets};
use node::{NodeNetwork, proxy_loop};
use runtime::image::{ImageStore, RegistryConfig};
use runtime::{Embedded, EmbeddedConfig};
use rustls::pki_types::CertificateDer;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The bridge of the pod network.
const BRIDGE: &str = "timonel0";
/// Where the kubelet API listens.
const KUBELET_PORT: u16 = 10_250;
/// Pods a node takes (the kubelet's default).
const PODS_MAX: i64 = 110;
/// Bits of a node's part of the pod range (kube-controller-manager's default).
const NODE_MASK: u8 = 24;
/// The node is told to be slow after this, and waited for no longer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Worker {
    node: node::Handle,
    proxy: Option<proxy_loop::ProxyHandle>,
    dns: Option<dns_loop::DnsHandle>,
    /// The node's images: the one open store of this process.
    pub(crate) images: ImageStore,
}

impl Worker {
    /// Stops the loops; containers, network and rules stay.
    pub(crate) async fn stop(self) {
        self.node.stop().await;
        if let Some(p) = self.proxy {
            p.stopped().await;
        }
        if let Some(d) = self.dns {
            d.stopped().await;
        }
    }
}

/// Opens the container runtime of a data directory.
pub(crate) async fn open_runtime(places: &Places, registries: RegistryConfig) -> Result<(Embedded, ImageStore)> {
    let images = ImageStore::open_with(&places.runtime().join("images"), registries)?;
    Ok((Embedded::open(EmbeddedConfig::new(places.runtime()), images.clone()).await?, images))
}

/// Starts the node and waits until it is Ready.
pub(crate) async fn start(
    config: &Config,
    control: &Control,
    screen: &mut Screen,
    shutdown: &CancellationToken,
) -> Result<Worker> {
    let manifests = config.places.root().join("manifests");
    std::fs::create_dir_all(&manifests).with_context(|| format!("creating {}", manifests.display()))?;
    let registries = RegistryConfig { mirrors: config.mirrors.clone(), ..RegistryConfig::default() };
    let (runtime, images) = open_runtime(&config.places, registries).await.context("starting the container runtime")?;
    screen.step("container runtime ready");
    let network = PodNetwork::ensure(network_config(config)?).context("making the pod network")?;
    screen.step("pod network ready");
    let proxy = (!config.is_disabled("proxy")).then(|| start_proxy(config, control, shutdown));
    let dns = if config.is_disabled("dns") { None } else { Some(start_dns(config, control, shutdown).await?) };
    let handle = node::start(node_config(config), deps(config, control, runtime, network)?).await?;
    ready(config, control).await?;
    mark_control_plane(config, control).await?;
    screen.step("node Ready, service proxy and DNS answering");
    Ok(Worker { node: handle, proxy, dns, images })
}

fn network_config(config: &Config) -> Result<PodNetworkConfig> {
    Ok(PodNetworkConfig {
        bridge: BRIDGE.to_owned(),
        pod_cidrs: vec![node_cidr(config.pod_cidr)?],
        cluster_cidrs: vec![config.pod_cidr],
        service_cidrs: vec![config.service_cidr],
        mtu: None,
        lease_dir: config.places.ipam(),
    })
}

/// The part of the pod range that the first node is given.
fn node_cidr(range: IpNet) -> Result<IpNet> {
    let bits = NODE_MASK.max(range.prefix_len());
    let first = range.subnets(bits).context("--pod-cidr is too small")?.next();
    first.context("--pod-cidr is too small")
}

fn node_config(config: &Config) -> node::Config {
    node::Config {
        node_name: config.node_name.clone(),
        hostname: config.node_name.clone(),
        node_ips: vec![config.advertise],
        root_dir: config.places.pods(),
        log_dir: config.places.logs(),
        manifest_dir: Some(config.places.root().join("manifests")),
        cluster_dns: vec![config.dns_ip],
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        pods_max: PODS_MAX,
        eviction_hard: config.eviction_hard,
        labels: std::collections::BTreeMap::new(),
        taints: Vec::new(),
        listen: Some(SocketAddr::new(config.bind, KUBELET_PORT)),
        kubelet_version: apiserver::GIT_VERSION.to_owned(),
        api_clients: vec!["kube-apiserver-kubelet-client".to_owned()],
    }
}

fn deps(config: &Config, control: &Control, runtime: Embedded, network: PodNetwork) -> Result<node::Deps> {
    let user = format!("system:node:{}", config.node_name);
    let request = Request {
        common_name: user.clone(),
        organizations: vec!["system:nodes".to_owned()],
        dns_names: vec![config.node_name.clone()],
        addresses: vec![config.advertise, IpAddr::from([127, 0, 0, 1])],
        usage: Usage::Both,
        lifetime: CERTIFICATE_LIFETIME,
    };
    let issued = control.files.certificate("kubelet", &control.material.ca, request, control.clock.now())?;
    let (chain, key) = control::identity(&issued)?;
    let tls = node::Tls { chain, key, client_ca: vec![CertificateDer::from(control.material.ca.der())] };
    Ok(node::Deps {
        api: control.api(&user, &["system:nodes", "system:authenticated"]),
        source: control.source(),
        runtime: Arc::new(runtime),
        network: Arc::new(NodeNetwork::new(Arc::new(network), config.places.netns())),
        clock: Arc::clone(&control.clock),
        ids: Arc::clone(&control.ids),
        tls: Some(tls),
        metrics: control.metrics.clone(),
        read_manifest: Some(Arc::new(read_manifest)),
    })
}

fn read_manifest(bytes: &[u8]) -> Result<kinds::api::core::v1::Pod, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let tree = codec::yaml::parse(text).map_err(|e| e.to_string())?.value;
    let object = codec::from_value(&Kind::Pod.into(), tree).map_err(|e| e.to_string())?;
    let mut object = object;
    (rules::rules(Kind::Pod).default)(&mut object);
    match object {
        kinds::Object::Pod(p) => Ok(Arc::unwrap_or_clone(p)),
        _ => Err("not a Pod".to_owned()),
    }
}

fn start_proxy(config: &Config, control: &Control, shutdown: &CancellationToken) -> proxy_loop::ProxyHandle {
    let family = if config.service_cidr.addr().is_ipv4() { proxy::Family::V4 } else { proxy::Family::V6 };
    let settings = proxy::Config {
        node: config.node_name.clone(),
        families: vec![family],
        pod_cidrs: vec![config.pod_cidr],
        service_cidrs: vec![config.service_cidr],
        answered_here: if config.is_disabled("dns") { Vec::new() } else { vec![config.dns_ip] },
        node_port_addresses: Vec::new(),
        masquerade_all: false,
    };
    proxy_loop::start_proxy(settings, control.source(), &control.metrics, shutdown.clone())
}

async fn start_dns(config: &Config, control: &Control, shutdown: &CancellationToken) -> Result<dns_loop::DnsHandle> {
    dns_loop::ensure_addresses(&[config.dns_ip]).context("giving the node the cluster DNS address")?;
    let at = SocketAddr::new(config.dns_ip, dns_loop::PORT);
    let sockets = DnsSockets::bind(&[at]).with_context(|| format!("listening on {at} for cluster DNS"))?;
    let settings = DnsConfig::new(CLUSTER_DOMAIN, vec![config.dns_ip], PathBuf::from("/etc/resolv.conf"))
        .map_err(anyhow::Error::msg)?;
    publish_dns(config, control).await?;
    Ok(dns_loop::start_dns(settings, sockets, control.source(), shutdown.clone())?)
}

/// The Service under which clusters know their DNS.
async fn publish_dns(config: &Config, control: &Control) -> Result<()> {
    let tree = serde_json::json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "kube-dns", "namespace": "kube-system", "labels": {
            "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" } },
        "spec": { "clusterIP": config.dns_ip.to_string(), "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "dns-tcp", "port": 53, "protocol": "TCP" } ] },
    });
    let object = codec::from_value(&Kind::Service.into(), tree)?;
    let api: Arc<dyn Api> = control.api("system:apiserver", &["system:masters"]);
    let target = Target::new(Kind::Service, ObjectKey::new("kube-system", ""));
    match api.create(target, object, WriteOptions::default()).await {
        Err(e) if e.is_already_exists() || e.message.contains("already allocated") => Ok(()),
        done => done.map(|_| ()).context("creating the kube-dns Service"),
    }
}

/// A node may not give itself a role; the installer does.
async fn mark_control_plane(config: &Config, control: &Control) -> Result<()> {
    let api: Arc<dyn Api> = control.api("system:apiserver", &["system:masters"]);
    let target = Target::new(Kind::Node, ObjectKey::cluster(config.node_name.clone()));
    let body = br#"{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}"#.to_vec();
    let patch = kinds::Patch { kind: kinds::PatchKind::Merge, body };
    api.patch(target, patch, WriteOptions::default()).await.map(|_| ()).context("labelling the node")
}

/// Waits until the node's Ready condition is True.
async fn ready(config: &Config, control: &Control) -> Result<()> {
    let mut changes = control.registry.image().changes_of(&Kind::Node.into());
    let wait = async {
        loop {
            changes.mark_unchanged();
            let snapshot = control.registry.snapshot();
            let node = snapshot.get::<kinds::api::core::v1::Node>("", &config.node_name);
            if node.is_some_and(|n| kinds::conditions::node_is_ready(n)) || changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(READY_TIMEOUT, wait).await.context("the node did not become Ready")
}

/// Removes what the network of a data directory left on the machine.
pub(crate) fn remove_network(places: &Places) {
    let config = PodNetworkConfig {
        bridge: BRIDGE.to_owned(),
        pod_cidrs: Vec::new(),
        cluster_cidrs: Vec::new(),
        service_cidrs: Vec::new(),
        mtu: None,
        lease_dir: places.ipam(),
    };
    if let Err(e) = PodNetwork::remove(&config) {
        eprintln!("warning: removing the pod network: {e}");
    }
    if let Err(e) = dns_loop::remove_addresses() {
        eprintln!("warning: removing the DNS device: {e}");
    }
    for family in [net::nft::Family::Ip, net::nft::Family::Ip6] {
        let present = net::nft::list(family, proxy::TABLE).is_ok_and(|l| l.is_some());
        let mut transaction = net::nft::Transaction::new(family, proxy::TABLE);
        transaction.push(net::nft::Op::DeleteTable);
        if let Some(e) = present.then(|| net::nft::apply(&transaction).err()).flatten() {
            eprintln!("warning: removing the proxy's rules: {e}");
        }
    }
}
