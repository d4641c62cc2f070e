//! A network namespace of our own with one address and no way out, and a scratch directory; both go when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The address of the node: RFC 2544 keeps this network for tests of devices.
pub(crate) const ADDRESS: &str = "198.18.0.1";

/// The namespace and the directory.
pub(crate) struct Place {
    name: String,
    scratch: PathBuf,
}

impl Place {
    /// Makes them, named after the task.
    pub(crate) fn make(task: &str) -> Result<Self> {
        let name = format!("timonel-{task}-{}", std::process::id());
        let scratch = std::env::temp_dir().join(&name);
        if !is_root()? {
            bail!("not root: network namespaces and containers need it");
        }
        run("ip", &["netns", "add", &name]).context("making a network namespace")?;
        let place = Self { name, scratch };
        std::fs::create_dir_all(&place.scratch)?;
        let inside = |args: &[&str]| run("ip", &[&["-n", place.name.as_str()], args].concat());
        inside(&["link", "set", "lo", "up"])?;
        inside(&["link", "add", "bench0", "type", "veth", "peer", "name", "bench1"])?;
        inside(&["address", "add", &format!("{ADDRESS}/24"), "dev", "bench0"])?;
        inside(&["link", "set", "bench0", "up"])?;
        inside(&["link", "set", "bench1", "up"])?;
        Ok(place)
    }

    /// A command that will run in the namespace; `ip netns exec` would hide the control groups.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command
    }

    /// The directory.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "delete", &self.name]);
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

fn is_root() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading /proc (this needs Linux)")?;
    Ok(status.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0")))
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program).args(args).output().with_context(|| format!("running {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())
}
