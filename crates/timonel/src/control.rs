//! The control plane's wiring: store, certificates, registry, API server, controllers.

use crate::chance::{RandomIds, SystemClock};
use crate::config::{CLUSTER_DOMAIN, Config, NODE_PORTS};
use crate::duties;
use crate::issuer::{ClusterIssuer, TokenSigner};
use crate::kubeconfig;
use crate::screen::Screen;
use anyhow::{Context, Result, anyhow};
use apiserver::aggregate::Aggregator;
use apiserver::metrics::Metrics;
use apiserver::pki::{Authority, CERTIFICATE_LIFETIME, Files, Issued, Material, Request, Usage};
use apiserver::authn::Authenticators;
use apiserver::authz::Authorizers;
use apiserver::tokens::Tokens;
use apiserver::webhook::{Identity, ImagePolicy};
use apiserver::{Shared, serve};
use base::metrics::Registry as MetricRegistry;
use base::{Clock, Ids};
use cache::Source;
use jiff::Timestamp;
use kinds::Api;
use registry::bootstrap::Values;
use registry::masters::Master;
use registry::presence::Presence;
use registry::sealing::Storage;
use registry::{Caller, Feed, LocalApi, Registry, Settings};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use store::Engine;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running control plane.
pub(crate) struct Control {
    pub(crate) registry: Arc<Registry>,
    pub(crate) material: Material,
    pub(crate) files: Files,
    pub(crate) metrics: MetricRegistry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// The administrator's kubeconfig.
    pub(crate) admin: Value,
    engine: Arc<dyn Engine>,
    master: Master,
    server: JoinHandle<()>,
    manager: manager::Handle,
    scheduler: Option<manager::SchedulerHandle>,
    stopping: watch::Sender<bool>,
}

impl Control {
    /// The image as everyone's source of changes.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::new(Feed(Arc::clone(self.registry.image())))
    }

    /// A handle on the API for a component.
    pub(crate) fn api(&self, user: &str, groups: &[&str]) -> Arc<dyn Api> {
        Arc::new(LocalApi::new(Arc::clone(&self.registry), Caller::new(user, groups)))
    }

    /// Waits for the scheduler to fail; gives why.
    pub(crate) async fn scheduler_failed(&mut self) -> String {
        match &mut self.scheduler {
            Some(scheduler) => scheduler.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Drains requests, stops controllers, closes the store.
    pub(crate) async fn stop(self) {
        self.stopping.send_replace(true);
        let _ = self.server.await;
        if let Some(scheduler) = self.scheduler {
            scheduler.stopped().await;
        }
        self.manager.stopped().await;
        duties::withdraw(&self.registry, self.master).await;
        self.engine.close().await;
    }
}

/// Starts everything that needs no node.
pub(crate) async fn start(config: &Config, screen: &mut Screen, shutdown: &CancellationToken) -> Result<Control> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(RandomIds);
    // What cannot be meant is told before anything is written.
    let (gates, plugins) = (config.serving.gates()?, config.serving.admission()?);
    let images = plugins.images.map(ImagePolicy::new).transpose().map_err(|e| anyhow!(e))?;
    let rules = rules_config(config, plugins.settings)?;
    let engine = crate::engine::open(config).await?;
    screen.step("store opened");
    let files = Files::open(config.places.pki())?;
    let material = files.material(clock.now())?;
    let serving = serving_certificate(config, &files, &material, clock.now())?;
    let admin = administrator(config, &files, &material, clock.now())?;
    screen.step("certificates ready");
    let metrics = MetricRegistry::default();
    let outward = Arc::new(apiserver::webhook::Caller::default());
    let hooks = webhooks(&outward, &ids, &metrics, images);
    tell_gates(&metrics, &gates);
    let settings = Settings { config: rules, gates, hooks: Some(hooks) };
    let storage = Storage { sealer: config.serving.sealer().await?, form: config.engine.form(), root: config.engine.root() };
    let (registry, follow) =
        Registry::open_stored(Arc::clone(&engine), Arc::clone(&clock), Arc::clone(&ids), settings, storage).await?;
    tokio::spawn(guard(follow));
    registry.bootstrap(&values(config, &material, clock.now())).await.context("creating the cluster's own objects")?;
    screen.step("cluster state loaded");
    let (stopping, stopped) = watch::channel(false);
    let shared = shared(config, &registry, &material, &files, (&metrics, &outward), stopped)?;
    let tokens = Arc::clone(&shared.tokens);
    shared.authn.connect(&registry);
    let stop = shutdown.clone();
    let layer = Arc::clone(&shared.aggregate).run(Arc::clone(&registry), async move { stop.cancelled().await });
    tokio::spawn(layer);
    tokio::spawn(apiserver::fairness::keep(Arc::clone(&shared.fairness), Arc::clone(&registry)));
    let address = SocketAddr::new(config.bind, config.port);
    let listener = TcpListener::bind(address).await.with_context(|| in_use(config))?;
    let tls = server_tls(config, &serving, &material)?;
    let server = tokio::spawn(serve(listener, tls, shared));
    screen.step(&format!("API server on port {}", config.port));
    let master = Master { address: config.advertise, port: config.port };
    let presence = Presence::of(&crate::config::host_name()?, SocketAddr::new(master.address, master.port), &ids.uid());
    duties::start(&registry, master, presence, shutdown);
    let manager = start_manager(config, &registry, (&material, &tokens), &clock, &ids, &metrics, shutdown);
    let scheduler = (!config.is_disabled("scheduler")).then(|| start_scheduler(config, &registry, &clock, &ids, &metrics, &manager, shutdown));
    screen.step("controllers and scheduler started");
    Ok(Control { registry, material, files, metrics, clock, ids, admin, engine, master, server, manager, scheduler, stopping })
}

/// Admission webhooks, called through the process's one HTTPS caller.
fn webhooks(
    outward: &Arc<apiserver::webhook::Caller>,
    ids: &Arc<dyn Ids>,
    metrics: &MetricRegistry,
    images: Option<ImagePolicy>,
) -> Arc<dyn registry::Hooks> {
    use apiserver::webhook::{HookMetrics, Webhooks};
    Arc::new(Webhooks::new(Arc::clone(outward), Arc::clone(ids), Arc::new(HookMetrics::new(metrics))).with_images(images))
}

/// The image must never stop silently: better no process than a stale one.
async fn guard(follow: impl Future<Output = Result<(), registry::ImageError>> + Send + 'static) {
    // A task of its own: a panic ends it and nothing else, and would go unnoticed.
    let why = match tokio::spawn(follow).await {
        Ok(Ok(())) => return,
        Ok(Err(e)) => e.to_string(),
        Err(e) if e.is_cancelled() => return,
        Err(e) => e.to_string(),
    };
    tracing::error!(err = why, "The cluster state cannot be followed any more");
    eprintln!("fatal: {why}");
    std::process::abort();
}

fn tell_gates(metrics: &MetricRegistry, gates: &rules::Gates) {
    let help = "This metric records the data about the stage and enablement of a k8s feature.";
    let family = metrics.gauge("kubernetes_feature_enabled", help, &["name", "stage"]);
    gates.all().for_each(|(name, stage, on)| family.with(&[name, stage]).set(f64::from(u8::from(on))));
}

fn rules_config(c: &Config, admission: rules::AdmissionSettings) -> Result<rules::Config> {
    Ok(rules::Config {
        service_cidrs: vec![c.service_cidr],
        node_ports: NODE_PORTS,
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        advertise_address: c.advertise,
        secure_port: c.port,
        plugins: c.serving.plugins()?,
        admission,
    })
}

fn values(c: &Config, m: &Material, now: Timestamp) -> Values {
    Values {
        service_cidr: c.service_cidr.to_string(),
        service_cidr_first_ip: c.api_ip.to_string(),
        advertise_address: c.advertise.to_string(),
        apiserver_port: c.port,
        client_ca_pem: m.ca.pem().to_owned(),
        requestheader_ca_pem: m.front_proxy_ca.pem().to_owned(),
        date: now.strftime("%Y-%m-%d").to_string(),
    }
}

fn in_use(c: &Config) -> String {
    format!(
        "port {0} is taken on {1}: see who has it with `ss -ltnp 'sport = :{0}'`, or choose another with --secure-port",
        c.port, c.bind
    )
}

fn serving_certificate(c: &Config, files: &Files, m: &Material, now: Timestamp) -> Result<Issued> {
    let mut dns_names: Vec<String> =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).into();
    dns_names.push(format!("kubernetes.default.svc.{CLUSTER_DOMAIN}"));
    dns_names.push(c.node_name.clone());
    let mut addresses = vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into(), c.advertise, c.api_ip];
    addresses.dedup();
    let request = Request {
        common_name: "kube-apiserver".into(),
        organizations: Vec::new(),
        dns_names,
        addresses,
        usage: Usage::Server,
        lifetime: CERTIFICATE_LIFETIME,
    };
    Ok(files.certificate("apiserver", &m.ca, request, now)?)
}

/// A client certificate of the cluster CA.
pub(crate) fn client_request(user: &str, groups: &[&str]) -> Request {
    Request {
        common_name: user.to_owned(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        lifetime: CERTIFICATE_LIFETIME,
    }
}

fn administrator(c: &Config, files: &Files, m: &Material, now: Timestamp) -> Result<Value> {
    let admin = files.certificate("admin", &m.ca, client_request("kubernetes-admin", &["system:masters"]), now)?;
    let host = if c.bind.is_unspecified() || c.bind.is_loopback() { "127.0.0.1".to_owned() } else { c.bind.to_string() };
    let document = kubeconfig::document(&format!("https://{host}:{}", c.port), m.ca.pem(), &admin);
    kubeconfig::write(&c.places.admin_kubeconfig(), &document)?;
    Ok(document)
}

/// Certificate chain and key from PEM.
pub(crate) fn identity(issued: &Issued) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?))
}

/// A trust store of some authorities.
pub(crate) fn roots(authorities: &[&Authority]) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for ca in authorities {
        store.add(CertificateDer::from(ca.der()))?;
    }
    Ok(Arc::new(store))
}

/// Whose client certificates are believed: the cluster's authority's and those of the flag.
fn client_roots(config: &Config, m: &Material) -> Result<RootCertStore> {
    let mut store = RootCertStore::clone(&*roots(&[&m.ca])?);
    if let Some(path) = &config.serving.client_ca_file {
        add_file(&mut store, path)?;
    }
    Ok(store)
}

/// Which front proxies are believed.
fn proxy_roots(config: &Config, m: &Material) -> Result<RootCertStore> {
    let Some(path) = &config.serving.requestheader_client_ca_file else { return Ok(RootCertStore::clone(&*roots(&[&m.front_proxy_ca])?)) };
    let mut store = RootCertStore::empty();
    add_file(&mut store, path)?;
    Ok(store)
}

fn add_file(store: &mut RootCertStore, path: &std::path::Path) -> Result<()> {
    let told = || format!("reading {}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).with_context(told)? {
        store.add(certificate.with_context(told)?).with_context(told)?;
    }
    Ok(())
}

fn server_tls(config: &Config, serving: &Issued, m: &Material) -> Result<Arc<rustls::ServerConfig>> {
    let mut all = client_roots(config, m)?;
    all.extend(proxy_roots(config, m)?.roots);
    let verifier = WebPkiClientVerifier::builder(Arc::new(all)).allow_unauthenticated().build()?;
    let (chain, key) = identity(serving)?;
    let mut tls = rustls::ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

fn kubelet_tls(files: &Files, m: &Material, now: Timestamp) -> Result<Arc<rustls::ClientConfig>> {
    let request = client_request("kube-apiserver-kubelet-client", &["system:masters"]);
    let (chain, key) = identity(&files.certificate("apiserver-kubelet-client", &m.ca, request, now)?)?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots(&[&m.ca])?).with_client_auth_cert(chain, key)?;
    Ok(Arc::new(tls))
}

fn shared(
    config: &Config,
    registry: &Arc<Registry>,
    m: &Material,
    files: &Files,
    (metrics, outward): (&MetricRegistry, &Arc<apiserver::webhook::Caller>),
    stopping: watch::Receiver<bool>,
) -> Result<Arc<Shared>> {
    let tokens = Arc::new(tokens(config, m)?);
    let (signer, judges_uid) = (Arc::clone(&tokens), registry.settings().gates.on("TokenRequestServiceAccountUIDValidation"));
    registry.connect_token_issuer(Box::new(move |snapshot, key, request| {
        apiserver::issue_token(&signer, &RandomIds, SystemClock.now(), snapshot, key, request, judges_uid)
    }));
    Ok(Arc::new(Shared {
        registry: Arc::clone(registry),
        authn: Authenticators::new(Arc::clone(&tokens), config.serving.authentication(&registry.settings().gates)?).map_err(|e| anyhow!(e))?,
        authz: Authorizers::new(&config.serving.authorization()?, config.serving.authorization_config.clone(), metrics).map_err(|e| anyhow!(e))?,
        tokens,
        ids: Arc::new(RandomIds),
        metrics: Metrics::new(metrics.clone()),
        start: apiserver::zpages::Start { at: SystemClock.now(), flags: config.flags.clone() },
        audit: config.serving.audit()?.map(|o| apiserver::audit::Audit::open(o, metrics)).transpose()?,
        fairness: apiserver::fairness::Fairness::new(config.serving.limits()?, metrics),
        kubelet_tls: kubelet_tls(files, m, SystemClock.now())?,
        aggregate: aggregate(m, files, metrics, outward)?,
        front_proxy: WebPkiClientVerifier::builder(Arc::new(proxy_roots(config, m)?)).build()?,
        readiness: Box::new(|| Ok(())),
        stopping,
    }))
}

/// The signer of service account tokens.
fn tokens(config: &Config, m: &Material) -> Result<Tokens> {
    let mut options = config.serving.tokens()?;
    options.keys.push(m.service_accounts_public.clone().into_bytes());
    let Some(path) = &config.serving.service_account_signing_key_file else {
        return Tokens::new(&m.service_accounts, options).map_err(|e| anyhow!(e));
    };
    let told = || format!("reading {}", path.display());
    let key = apiserver::pki::Key::from_pem(&std::fs::read_to_string(path).with_context(told)?).with_context(told)?;
    Tokens::new(&key, options).map_err(|e| anyhow!(e))
}

/// The aggregation layer, with the certificate that shows it to the servers behind it.
fn aggregate(
    m: &Material,
    files: &Files,
    metrics: &MetricRegistry,
    outward: &Arc<apiserver::webhook::Caller>,
) -> Result<Arc<Aggregator>> {
    let request = client_request(apiserver::authn::FRONT_PROXY, &[]);
    let issued = files.certificate("front-proxy-client", &m.front_proxy_ca, request, SystemClock.now())?;
    let (chain, key) = identity(&issued)?;
    Ok(Arc::new(Aggregator::new(Arc::clone(outward), Identity { chain, key }, metrics)))
}

fn start_manager(
    config: &Config,
    registry: &Arc<Registry>,
    (m, tokens): (&Material, &Arc<Tokens>),
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    metrics: &MetricRegistry,
    shutdown: &CancellationToken,
) -> manager::Handle {
    let of = Arc::clone(registry);
    let api: manager::ApiFactory = Arc::new(move |user: &str| {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        Arc::new(LocalApi::new(Arc::clone(&of), Caller::new(user, &groups))) as Arc<dyn Api>
    });
    let deps = manager::Deps {
        source: Arc::new(Feed(Arc::clone(registry.image()))),
        api,
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        metrics: metrics.clone(),
        leading: leading(config, registry, (clock, ids), "kube-controller-manager", shutdown),
        shutdown: shutdown.clone(),
    };
    manager::start(manager_config(config, m, tokens), deps)
}

/// Where the store is shared, one server at a time runs each of these components.
fn leading(
    config: &Config,
    registry: &Arc<Registry>,
    (clock, ids): (&Arc<dyn Clock>, &Arc<dyn Ids>),
    lease: &'static str,
    shutdown: &CancellationToken,
) -> Option<watch::Receiver<bool>> {
    config.engine.is_shared().then(|| {
        let caller = Caller::new(&format!("system:{lease}"), &["system:authenticated"]);
        manager::elect(manager::Candidate {
            lease,
            identity: format!("{}_{}", config.node_name, ids.uid()),
            api: Arc::new(LocalApi::new(Arc::clone(registry), caller)),
            clock: Arc::clone(clock),
            shutdown: shutdown.clone(),
        })
    })
}

fn start_scheduler(
    config: &Config,
    registry: &Arc<Registry>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    metrics: &MetricRegistry,
    manager: &manager::Handle,
    shutdown: &CancellationToken,
) -> manager::SchedulerHandle {
    let caller = Caller::new("system:kube-scheduler", &["system:authenticated"]);
    let deps = manager::SchedulerDeps {
        source: Arc::new(Feed(Arc::clone(registry.image()))),
        api: Arc::new(LocalApi::new(Arc::clone(registry), caller)),
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
        recorder: manager.recorder.clone(),
        metrics: metrics.clone(),
        leading: leading(config, registry, (clock, ids), "kube-scheduler", shutdown),
        shutdown: shutdown.clone(),
    };
    manager::start_scheduler(&manager::SchedulerConfig::default(), deps)
}

fn manager_config(config: &Config, m: &Material, tokens: &Arc<Tokens>) -> manager::Config {
    let controllers = controllers::Config {
        root_ca_pem: m.ca.pem().to_owned(),
        cluster_cidrs: vec![config.pod_cidr],
        service_cidrs: vec![config.service_cidr],
        decode: |kind, tree| codec::from_value(&kind.into(), tree.clone()).ok(),
        quota_used: rules::admission::quota::used,
        type_check: rules::policies::type_check,
        issuer: ClusterIssuer::new(m).ok().map(|i| Arc::new(i) as Arc<dyn controllers::certificates::Issuer>),
        may_request: rules::rbac::may_request,
        tokens: Some(Arc::new(TokenSigner(Arc::clone(tokens)))),
        legacy_token_period: config.legacy_token_period,
        ..controllers::Config::default()
    };
    manager::Config { controllers, disabled: config.disabled.clone() }
}
