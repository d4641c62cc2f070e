//! A control plane without a node: one process on this machine's own address, no root, no containers. Nothing in it happens by
//! itself that a client could see, so two clients that say the same hear the same.

use crate::{machine, script};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A running control plane; it ends with this value, and its files with it.
pub struct ControlPlane {
    dir: PathBuf,
    process: Child,
    timonel: PathBuf,
}

impl ControlPlane {
    /// Starts one and waits until it says that it is ready.
    pub fn start() -> Result<Self> {
        let timonel = machine::timonel()?;
        let dir = std::env::temp_dir().join(format!("timonel-it-control-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
        // Given back at once; nobody else asks for this one in the meantime, or the start fails and says so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(dir.join("up.log"))?;
        let mut up = Command::new(&timonel);
        up.args(["up", "--no-node", "--bind-address", "127.0.0.1", "--secure-port", &port.to_string(), "--data-dir"]).arg(dir.join("data"));
        up.arg("--kubeconfig").arg(dir.join("kubeconfig")).env("HOME", &dir);
        let process = up.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("start timonel")?;
        let mut plane = Self { dir, process, timonel };
        let ready = script::within(START_LIMIT, || plane.log().contains("ready in") || plane.process.try_wait().is_ok_and(|e| e.is_some()));
        if ready && plane.log().contains("ready in") {
            return Ok(plane);
        }
        bail!("timonel up is not ready\n{}", plane.log())
    }

    /// What the program said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("up.log")).unwrap_or_default()
    }

    /// A directory for files of the test.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The program, which under the name kubectl is ours.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.timonel
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
