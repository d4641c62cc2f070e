//! One cluster under measurement: starting it, stopping it, and what the kernel says about its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::process::Child;

use super::api::Api;
use crate::place::ADDRESS;

/// Where the API server listens.
pub(super) const PORT: u16 = 6443;
/// Longest wait for the line that says ready, and for the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where cluster DNS answers.
const DNS: &str = "10.96.0.10:53";
/// A question for the address of `kubernetes.default.svc.cluster.local` (RFC 1035, section 4).
const QUESTION: &[u8] =
    b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";
/// How long one DNS packet is waited for.
const DNS_WAIT: Duration = Duration::from_millis(20);

/// How long a start took.
pub(super) struct Started {
    /// What the program says.
    says: String,
    /// From exec to the line, and until DNS had answered us.
    wall: Duration,
}

impl std::fmt::Display for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s (it says {})", self.wall.as_secs_f64(), self.says)
    }
}

/// A cluster in a data directory.
pub(super) struct Cluster {
    binary: PathBuf,
    directory: PathBuf,
    node: bool,
    child: Option<Child>,
    /// Where callgrind writes, when it runs under it.
    counted: Option<PathBuf>,
}

impl Cluster {
    /// A cluster that does not run yet.
    pub(super) fn new(binary: &Path, directory: PathBuf, node: bool) -> Self {
        Self { binary: binary.to_owned(), directory, node, child: None, counted: None }
    }

    /// The same under callgrind, which counts instructions.
    pub(super) fn under_callgrind(self, out: &Path) -> Self {
        Self { counted: Some(out.to_owned()), ..self }
    }

    /// Its data directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program with a subcommand on this data directory.
    pub(super) fn command(&self, subcommand: &[&str]) -> Command {
        self.arguments(Command::new(&self.binary), subcommand)
    }

    fn arguments(&self, mut command: Command, subcommand: &[&str]) -> Command {
        command.args(subcommand).arg("--data-dir").arg(&self.directory).env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// Where its administrator's kubeconfig lies.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.directory.with_extension("kubeconfig")
    }

    fn up(&self) -> Command {
        let Some(out) = &self.counted else { return self.command(&["up"]) };
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "-q"]).arg(format!("--callgrind-out-file={}", out.display())).arg(&self.binary);
        self.arguments(valgrind, &["up"])
    }

    /// Starts it and waits until it is ready.
    pub(super) async fn start(&mut self) -> Result<Started> {
        let mut command = tokio::process::Command::from(self.up());
        command.args(["--advertise-address", ADDRESS, "--node-name", "bench", "--secure-port", &PORT.to_string()]);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args((!self.node).then_some("--no-node"));
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting timonel")?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        self.child = Some(child);
        let says = tokio::time::timeout(PATIENCE, ready_line(lines)).await.context("it was never ready")??;
        if self.node {
            tokio::time::timeout(PATIENCE, dns_answers()).await.context("DNS never answered")??;
        }
        Ok(Started { says, wall: begun.elapsed() })
    }

    /// Stops the control plane; pods stay.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id() {
            Command::new("kill").args(["-INT", &pid.to_string()]).status()?;
        }
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(status) => status.map(|_| ()).context("waiting for its end"),
            Err(_) => {
                child.start_kill()?;
                bail!("it did not end after SIGINT")
            }
        }
    }

    /// Removes what it left on the machine.
    pub(super) fn remove(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            // Its last thread is gone, and with it the lock on the store, when it can be waited for.
            child.start_kill()?;
            let until = Instant::now() + PATIENCE;
            while child.try_wait()?.is_none() && Instant::now() < until {
                std::thread::yield_now();
            }
        }
        let done = self.command(&["uninstall", "--yes"]).output()?;
        if done.status.success() {
            return Ok(());
        }
        bail!("timonel uninstall: {}", String::from_utf8_lossy(&done.stderr).trim())
    }

    /// Connections to its API.
    pub(super) async fn api(&self, connections: usize) -> Result<Api> {
        Api::connect(&self.kubeconfig(), PORT, connections).await
    }

    /// The main process.
    pub(super) fn pid(&self) -> Result<u32> {
        self.child.as_ref().and_then(Child::id).context("it does not run")
    }

    /// The zygote, and the shims of pods that were started since the last start.
    pub(super) fn helpers(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let zygotes = children(self.pid()?)?;
        let mut shims = Vec::new();
        for zygote in &zygotes {
            shims.extend(children(*zygote)?);
        }
        Ok((zygotes, shims))
    }
}

async fn ready_line(mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) -> Result<String> {
    while let Some(line) = lines.next_line().await? {
        if let Some(says) = line.strip_prefix("ready in ") {
            // Its last words still need a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(says.to_owned());
        }
    }
    bail!("it ended before it was ready")
}

async fn dns_answers() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let mut answer = [0; 512];
    loop {
        socket.send_to(QUESTION, DNS).await.context("asking DNS")?;
        match tokio::time::timeout(DNS_WAIT, socket.recv(&mut answer)).await {
            // A response without error that has an answer (the count is in bytes 6 and 7).
            Ok(Ok(n)) if n > 12 && answer[3] & 15 == 0 && answer[7] > 0 => return Ok(()),
            _ => {}
        }
    }
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
    }
    Ok(all)
}

/// A process' memory: resident, and with shared pages divided among those who share them.
pub(super) fn memory(pid: u32) -> Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok((kib("Rss:") * 1024, kib("Pss:") * 1024))
}

/// Processor time that a process' threads have used.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        total += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(total))
}

/// `12.3 MiB`.
pub(super) fn mib(bytes: u64) -> String {
    // Bytes of processes are far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let value = bytes as f64 / f64::from(1 << 20);
    format!("{value:.1} MiB")
}
