//! A kube-apiserver and an etcd that the caller has, run beside ours with the same certificates. Flags as kubeadm sets them,
//! where they matter here.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;

use super::api::{self, Api};
use super::cluster::Cluster;
use super::figures::Server;
use crate::place::ADDRESS;
use super::wire::Target;

const PORT: u16 = 7443;
const ETCD: &str = "http://127.0.0.1:23790";
const ETCD_PEER: &str = "http://127.0.0.1:23800";
/// Longest wait for readiness.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// It gets this part of the load.
const SHARE: usize = 5;

/// Both processes; they end with it.
pub(super) struct Upstream {
    apiserver: Child,
    etcd: Child,
}

/// Starts both in a directory of their own; says how long it took until readyz.
pub(super) async fn start(paths: (&Path, &Path), certificates: &Cluster, dir: &Path) -> Result<(Upstream, Duration)> {
    fs::create_dir_all(dir)?;
    let begun = Instant::now();
    let etcd = etcd(paths.1, dir)?;
    let apiserver = apiserver(paths.0, certificates, dir)?;
    let mut running = Upstream { apiserver, etcd };
    loop {
        if let Ok(api) = Api::connect(&certificates.kubeconfig(), PORT, 1).await
            && api.send(Method::GET, "/readyz", Bytes::new()).await.is_ok()
        {
            return Ok((running, begun.elapsed()));
        }
        if begun.elapsed() > PATIENCE || running.apiserver.try_wait()?.is_some() {
            let log = fs::read_to_string(dir.join("apiserver.log")).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            bail!("kube-apiserver is not ready: {end:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn spawn(program: &Path, arguments: &[String], log: &Path) -> Result<Child> {
    let log = fs::File::create(log)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("starting {}", program.display()))
}

fn etcd(program: &Path, dir: &Path) -> Result<Child> {
    let arguments = [
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=default={ETCD_PEER}"),
    ];
    spawn(program, &arguments, &dir.join("etcd.log"))
}

fn apiserver(program: &Path, certificates: &Cluster, dir: &Path) -> Result<Child> {
    let pki = certificates.directory().join("pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let arguments = [
        format!("--etcd-servers={ETCD}"),
        format!("--secure-port={PORT}"),
        format!("--cert-dir={}", dir.join("certificates").display()),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/12".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--advertise-address={ADDRESS}"),
    ];
    spawn(program, &arguments, &dir.join("apiserver.log"))
}

impl Upstream {
    /// It as what is measured.
    pub(super) async fn server(&self, certificates: &Cluster) -> Result<Server> {
        let kubeconfig = certificates.kubeconfig();
        let target = Target { address: ([127, 0, 0, 1], PORT).into(), tls: api::tls(&kubeconfig)?.into() };
        let api = Api::connect(&kubeconfig, PORT, 1).await?;
        Ok(Server { target, api, pids: vec![self.apiserver.id(), self.etcd.id()], share: SHARE })
    }

    /// Ends both.
    pub(super) fn stop(&mut self) {
        for child in [&mut self.apiserver, &mut self.etcd] {
            // One that ended by itself cannot be ended again.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}
