//! Wiring: from settings and ports to the tasks of a node.

use crate::config::{Config, Deps};
use crate::hands::Hands;
use crate::node_loop::{self, NodeLoop};
use crate::pod_loop::{PodLoop, Pods};
use crate::recorder::Recorder;
use crate::volumes::Volumes;
use crate::{housekeeping, machine, server};
use parking_lot::{Mutex, RwLock};
use pods::node_status::{self, Machine};
use pods::Facts;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot make the directory {path}")]
    Directory { path: String, #[source] source: std::io::Error },
    #[error("cannot serve the kubelet API on {address}")]
    Listen { address: SocketAddr, #[source] source: std::io::Error },
    #[error("the kubelet API's certificates cannot be used")]
    Tls(#[source] rustls::Error),
}

/// A running node.
pub struct Handle {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Where the kubelet API listens.
    pub address: Option<SocketAddr>,
    #[cfg(test)]
    pub(crate) inside: (Arc<Hands>, Pods),
}

impl Handle {
    /// Stops the tasks. Containers keep running and are found again at the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(e) = task.await {
                tracing::warn!(err = %e, "A task of the node ended badly");
            }
        }
    }
}

fn facts(config: &Config, machine: &Machine, runtime_name: String) -> Facts {
    Facts {
        node_name: config.node_name.clone(),
        host_ips: config.node_ips.clone(),
        cluster_dns: config.cluster_dns.clone(),
        cluster_domain: config.cluster_domain.clone(),
        resolver: machine::resolver(),
        host_hosts: std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
        hostname: config.hostname.clone(),
        root_dir: config.root_dir.display().to_string(),
        log_dir: config.log_dir.display().to_string(),
        cpu_milli: machine.cpus * 1000,
        memory_bytes: machine.memory_bytes,
        runtime_name,
    }
}

/// Starts a node.
///
/// # Errors
/// A directory that cannot be made, an address that cannot be listened on, certificates that are none.
pub async fn start(config: Config, deps: Deps) -> Result<Handle, StartError> {
    for dir in [config.root_dir.join("pods"), config.log_dir.clone()] {
        let path = dir.display().to_string();
        std::fs::create_dir_all(&dir).map_err(|source| StartError::Directory { path, source })?;
    }
    let machine = machine::read(&config.root_dir);
    let (runtime_name, _) = deps.runtime.version();
    let recorder = Recorder::start(Arc::clone(&deps.api), Arc::clone(&deps.clock), config.node_name.clone());
    let hands = Arc::new(Hands {
        facts: Arc::new(facts(&config, &machine, runtime_name)),
        volumes: Volumes::new(&config.root_dir),
        config,
        api: deps.api,
        source: deps.source,
        runtime: deps.runtime,
        network: deps.network,
        clock: deps.clock,
        recorder,
        figures: crate::hands::metrics::Metrics::register(&deps.metrics),
        sandboxes: Mutex::default(),
    });
    let stop = CancellationToken::new();
    let pods: Pods = Arc::new(RwLock::new(BTreeMap::new()));
    let report = node_loop::report(&hands).await;
    let status = node_status::build(&machine, &report, None, hands.clock.now());
    let own = Arc::new(node_loop::own_node(&hands, &machine, status));
    let figures = housekeeping::Metrics::register(&deps.metrics, &hands.config.node_name);
    let mut tasks = Vec::new();
    let mut address = None;
    if let (Some(listen), Some(tls)) = (hands.config.listen, deps.tls) {
        let served = server::start(listen, tls, Arc::clone(&hands), Arc::clone(&pods), deps.metrics, stop.clone()).await?;
        address = Some(served.0);
        tasks.push(served.1);
    }
    let (pod_loop, ended) = PodLoop::new(Arc::clone(&hands), Arc::clone(&pods), own, deps.read_manifest);
    tasks.push(tokio::spawn(pod_loop.run(ended, stop.clone())));
    tasks.push(tokio::spawn(NodeLoop::new(Arc::clone(&hands), machine).run(stop.clone())));
    #[cfg(test)]
    let inside = (Arc::clone(&hands), Arc::clone(&pods));
    tasks.push(tokio::spawn(housekeeping::run(hands, pods, figures, stop.clone())));
    Ok(Handle {
        stop,
        tasks,
        address,
        #[cfg(test)]
        inside,
    })
}
