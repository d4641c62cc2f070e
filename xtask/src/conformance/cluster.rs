//! A fresh cluster for the tests: `timonel up` in a network namespace of its own, gone without a trace afterwards; its state in
//! its own store, or in a single member of etcd beside it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::place::{ADDRESS, Place};

const PORT: &str = "6443";

/// The cluster.
pub(crate) struct Fresh {
    place: Place,
    binary: PathBuf,
    child: Child,
    etcd: Option<Child>,
}

/// Where the member listens, for clients and for members that there are none of.
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

fn member(place: &Place, program: &Path) -> Result<Child> {
    let mut command = place.command(program);
    command.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD, "--listen-peer-urls", ETCD_PEER]);
    command.args(["--initial-advertise-peer-urls", ETCD_PEER, "--initial-cluster", &format!("default={ETCD_PEER}")]);
    command.arg("--data-dir").arg(place.scratch().join("etcd"));
    let log = File::create(place.scratch().join("etcd.log"))?;
    command.stdout(log.try_clone()?).stderr(log).spawn().with_context(|| format!("starting {}", program.display()))
}

/// The newest build there is: release, else debug.
pub(crate) fn built(root: &Path) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let candidates = ["release", "debug"].map(|profile| target.join(profile).join("timonel"));
    candidates.into_iter().find(|c| c.exists()).context("no timonel is built: run `cargo build -p timonel` first")
}

impl Fresh {
    /// Starts it and waits for the line that says ready.
    pub(crate) fn start(binary: &Path, etcd: Option<&Path>) -> Result<Self> {
        let place = Place::make("conformance")?;
        let etcd = etcd.map(|program| member(&place, program)).transpose()?;
        let kubeconfig = place.scratch().join("kubeconfig");
        let mut command = place.command(binary);
        command.args(["up", "--advertise-address", ADDRESS, "--node-name", "n1", "--secure-port", PORT]);
        command.arg("--data-dir").arg(place.scratch().join("data")).arg("--kubeconfig").arg(&kubeconfig);
        if etcd.is_some() {
            command.args(["--etcd-servers", ETCD]);
        }
        command.stderr(File::create(place.scratch().join("log"))?).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting timonel")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|l| l.starts_with("ready in "));
        // Its last words still need a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let fresh = Self { place, binary: binary.to_owned(), child, etcd };
        if ready {
            return Ok(fresh);
        }
        let log = std::fs::read_to_string(fresh.place.scratch().join("log")).unwrap_or_default();
        fresh.stop()?;
        bail!("timonel ended before it was ready: {log}")
    }

    /// Credentials of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.place.scratch().join("kubeconfig")
    }

    /// A command that runs where the cluster can be reached.
    pub(crate) fn command(&self, program: &Path) -> Command {
        self.place.command(program)
    }

    /// Ends it and removes what it left.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        if let Some(mut etcd) = self.etcd.take() {
            etcd.kill()?;
            etcd.wait()?;
        }
        let mut uninstall = Command::new(&self.binary);
        uninstall.args(["uninstall", "--yes", "--data-dir"]).arg(self.place.scratch().join("data"));
        let done = uninstall.env("KUBECONFIG", self.kubeconfig()).output()?;
        if done.status.success() {
            return Ok(());
        }
        bail!("timonel uninstall: {}", String::from_utf8_lossy(&done.stderr).trim())
    }
}
