//! The processes: timonel (whose certificates all use), etcd, kube-apiserver; on loopback, in a scratch directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::Args;
use super::http::{Ask, Server};

/// Where servers are looked for that run already.
const TIMONEL_PORT: u16 = 17443;
const KUBE_PORT: u16 = 17444;
const SERVICE_CIDR: &str = "10.96.0.0/12";
/// Longest wait until a server is ready; kube-apiserver may be an unoptimised build.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(200);

/// Both servers, running.
pub(crate) struct Servers {
    pub kube: Server,
    pub timonel: Server,
    children: Vec<Child>,
    scratch: PathBuf,
}

impl Servers {
    /// Servers that run already, on the same ports: their certificates lie in that directory.
    pub(crate) async fn running(pki: &Path) -> Result<Self> {
        let (kube, timonel) = (Server::connect(pki, KUBE_PORT).await?, Server::connect(pki, TIMONEL_PORT).await?);
        Ok(Self { kube, timonel, children: Vec::new(), scratch: PathBuf::new() })
    }

    /// Starts all three and waits until both servers are ready.
    pub(crate) async fn start(args: &Args, binary: &Path) -> Result<Self> {
        let scratch = std::env::temp_dir().join(format!("timonel-oracle-{}", std::process::id()));
        std::fs::create_dir_all(&scratch)?;
        let (data, pki) = (scratch.join("data"), scratch.join("data/pki"));
        let [timonel_port, kube_port, etcd_port, peer_port] = free_ports()?;
        let mut children = Vec::new();
        let mut timonel = logged(binary, &scratch, "timonel")?;
        timonel.args(["server", "--no-node", "--disable", "*,scheduler", "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"]);
        timonel.args(["--service-cidr", SERVICE_CIDR, "--secure-port", &timonel_port.to_string()]);
        let gates = (!args.feature_gates.is_empty()).then(|| format!("--feature-gates={}", args.feature_gates));
        timonel.args(&gates);
        timonel.arg("--data-dir").arg(&data).arg("--kubeconfig").arg(scratch.join("kubeconfig"));
        children.push(timonel.spawn().context("starting timonel")?);
        let timonel = ready(&pki, timonel_port, &scratch.join("timonel.log")).await?;
        let mut etcd = logged(&args.etcd, &scratch, "etcd")?;
        let (client, peer) = (format!("http://127.0.0.1:{etcd_port}"), format!("http://127.0.0.1:{peer_port}"));
        etcd.arg("--data-dir").arg(scratch.join("etcd")).arg("--unsafe-no-fsync");
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
        etcd.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")]);
        children.push(etcd.spawn().context("starting etcd")?);
        let mut kube = logged(&args.kube_apiserver, &scratch, "kube-apiserver")?;
        kube.args(kube_flags(&pki, kube_port, &client)).args(&gates);
        children.push(kube.spawn().context("starting kube-apiserver")?);
        let kube = ready(&pki, kube_port, &scratch.join("kube-apiserver.log")).await?;
        Ok(Self { kube, timonel, children, scratch })
    }

    /// Ends them and removes what they wrote.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        for child in self.children.iter_mut().rev() {
            child.kill().await?;
        }
        if self.scratch.as_os_str().is_empty() { Ok(()) } else { Ok(std::fs::remove_dir_all(&self.scratch)?) }
    }
}

/// Ports that nobody listens on now: runs beside one another do not meet.
fn free_ports() -> Result<[u16; 4]> {
    let held = [(); 4].map(|()| std::net::TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(held) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

fn logged(program: &Path, scratch: &Path, name: &str) -> Result<Command> {
    let log = File::create(scratch.join(format!("{name}.log")))?;
    let mut command = Command::new(program);
    command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log)).kill_on_drop(true);
    Ok(command)
}

fn kube_flags(pki: &Path, port: u16, etcd: &str) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.join(name).display());
    let mut flags = vec![
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("client-ca-file", "ca.crt"),
        file("service-account-key-file", "apiserver.crt"),
        file("service-account-signing-key-file", "apiserver.key"),
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={port}"),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
    ];
    flags.extend(
        [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ]
        .map(str::to_owned),
    );
    flags
}

/// Waits until `/readyz` says so.
async fn ready(pki: &Path, port: u16, log: &Path) -> Result<Server> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok(server) = Server::connect(pki, port).await
            && server.ask(&Ask::bare("GET", "/readyz")).await.is_ok_and(|r| r.code == 200)
        {
            return Ok(server);
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("{} was never ready:\n{}", log.display(), std::fs::read_to_string(log).unwrap_or_default())
}
