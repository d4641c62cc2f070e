//! A cluster of one node in a network namespace of its own, with no way out, and all of it gone in the end.

use crate::compare::Place;
use crate::script::{self, Said};
use crate::{machine, steps::PRELUDE};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The node's address; nothing but this namespace knows it.
pub const ADDRESS: &str = "192.0.2.10";
/// The node's name.
pub const NODE: &str = "n1";
const PORT: &str = "6443";
/// A cluster starts in a second; a debug build on a busy machine in some more.
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const TASK_LIMIT: Duration = Duration::from_secs(180);
/// Room for images and everything that pods write.
const DISK_SIZE: &str = "size=4g,mode=755";

/// The archive that is imported only once the program runs.
const LATE: &str = "worker-v0.2.tar";

fn is_late(archive: &Path) -> bool {
    archive.ends_with(LATE)
}

/// A running cluster.
pub struct Cluster {
    name: String,
    /// All files of the test: a file system of its own, so that a full disk of the machine puts no pressure on the node.
    dir: PathBuf,
    timonel: PathBuf,
    process: Option<Child>,
}

impl Cluster {
    /// Makes the namespace and the directories and imports the images but one; nothing runs yet.
    pub fn prepare() -> Result<Self> {
        let timonel = machine::timonel()?;
        let name = format!("timonel-it-{}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
        // From here on Drop cleans up.
        let cluster = Self { name, dir, timonel, process: None };
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK_SIZE, "timonel-it"]).arg(&cluster.dir).status()?;
        if !mounted.success() {
            bail!("no file system could be mounted at {}", cluster.dir.display());
        }
        cluster.system("ip", &["netns", "add", &cluster.name])?;
        for args in [
            "link set lo up",
            "link add out0 type veth peer name out1",
            &format!("addr add {ADDRESS}/24 dev out0"),
            "link set out0 up",
            "link set out1 up",
        ] {
            let words: Vec<&str> = ["-n", &cluster.name].into_iter().chain(args.split(' ')).collect();
            cluster.system("ip", &words)?;
        }
        fs::create_dir_all(cluster.dir.join("bin"))?;
        cluster.use_kubectl(&machine::kubectl(None).context("no kubectl")?)?;
        let early = machine::archives()?.into_iter().filter(|a| !is_late(a)).collect::<Vec<_>>();
        cluster.import(&early)?;
        Ok(cluster)
    }

    /// Imports the image that was held back, while the program runs.
    pub fn import_late(&self) -> Result<String> {
        let late = machine::archives()?.into_iter().filter(|a| is_late(a)).collect::<Vec<_>>();
        self.import(&late)
    }

    fn import(&self, archives: &[PathBuf]) -> Result<String> {
        let mut import = Command::new(&self.timonel);
        import.args(["image", "import", "--data-dir"]).arg(self.data()).args(archives);
        self.task(import)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What the program said since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("up.log")).unwrap_or_default()
    }

    /// Which kubectl the scripts find.
    pub fn use_kubectl(&self, program: &Path) -> Result<()> {
        let link = self.dir.join("bin/kubectl");
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        Ok(std::os::unix::fs::symlink(program, link)?)
    }

    fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        // Not `ip netns exec`: that mounts a new /sys, without the control groups.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("--").arg(program);
        command
    }

    /// Starts the program and waits until it says that it is ready.
    pub fn start(&mut self) -> Result<()> {
        let log = File::create(self.dir.join("up.log"))?;
        let mut up = self.inside(&self.timonel);
        up.args(["up", "--bind-address", "0.0.0.0", "--advertise-address", ADDRESS, "--secure-port", PORT]);
        up.args(["--node-name", NODE, "--data-dir"]).arg(self.data()).arg("--kubeconfig").arg(self.dir.join("kubeconfig"));
        up.env("HOME", &self.dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(up.spawn().context("start timonel")?);
        let mut ended = None;
        let ready = script::within(START_LIMIT, || {
            ended = self.process.as_mut().and_then(|p| p.try_wait().ok().flatten());
            ended.is_some() || self.log().contains("ready in")
        });
        match ended {
            None if ready => Ok(()),
            Some(status) => bail!("timonel up ended: {status}\n{}", self.log()),
            None => bail!("timonel up is not ready after {} s\n{}", START_LIMIT.as_secs(), self.log()),
        }
    }

    /// Sends the program a signal and waits for its end; says whether it ended by itself and well.
    pub fn stop(&mut self, signal: &str) -> Result<bool> {
        let Some(mut process) = self.process.take() else { return Ok(true) };
        script::signal(&process.id().to_string(), signal);
        let Some(status) = script::wait(&mut process, STOP_LIMIT) else {
            process.kill()?;
            process.wait()?;
            bail!("timonel did not stop within {} s after {signal}\n{}", STOP_LIMIT.as_secs(), self.log());
        };
        Ok(status.success())
    }

    /// Runs a bash script in the namespace, in a directory of its own, with the examples at `$EXAMPLES`.
    pub fn bash(&self, text: &str, limit: Duration) -> Result<Said> {
        let work = self.dir.join("work");
        fs::create_dir_all(&work)?;
        let path = std::env::join_paths(
            std::iter::once(self.dir.join("bin")).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        )?;
        let mut bash = self.inside("bash");
        bash.arg("-c").arg(format!("{PRELUDE}\n{text}")).current_dir(work).env("PATH", path);
        bash.env("HOME", &self.dir).env("KUBECONFIG", self.dir.join("kubeconfig")).env("ADDRESS", ADDRESS).env("NODE", NODE);
        bash.env("EXAMPLES", machine::workspace().join("examples/dockercoins")).env("TERM", "xterm");
        script::run(bash, limit, &self.dir.join("step.log"))
    }

    /// Where two kubectls can be compared.
    #[must_use]
    pub fn place(&self) -> Place {
        let inside = ["nsenter", &format!("--net=/run/netns/{}", self.name), "--"].map(str::to_owned).to_vec();
        Place { dir: self.dir.clone(), kubeconfig: self.dir.join("kubeconfig"), inside }
    }

    fn task(&self, command: Command) -> Result<String> {
        let shown = format!("{command:?}");
        let said = script::run(command, TASK_LIMIT, &self.dir.join("task.log"))?;
        if said.ok { Ok(said.text) } else { bail!("{shown}: {}", said.text) }
    }

    fn system(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(args);
        self.task(command)
    }

    /// Stops everything and removes it; tells what the product left behind.
    pub fn remove(mut self) -> Result<()> {
        self.stop("INT")?;
        let mut uninstall = self.inside(&self.timonel);
        uninstall.args(["uninstall", "--yes", "--data-dir"]).arg(self.data()).env("HOME", &self.dir);
        self.task(uninstall)?;
        // The kernel takes the devices of a network namespace away some time after its last process and mount.
        let mut left = Vec::new();
        script::within(STOP_LIMIT, || {
            left = self.left_behind();
            left.is_empty()
        });
        if left.is_empty() { Ok(()) } else { bail!("left behind after uninstall: {}", left.join(", ")) }
    }

    /// Processes, mounts and network devices that should be gone.
    fn left_behind(&self) -> Vec<String> {
        let data = self.data().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|p| p.starts_with(&data));
        let mut left: Vec<String> = mounts.map(|m| format!("mount {m}")).collect();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&data) {
                left.push(format!("process {} {line}", entry.file_name().display()));
            }
        }
        let links = self.system("ip", &["-n", &self.name, "-o", "link"]).unwrap_or_default();
        let devices = links.lines().filter_map(|l| l.split(": ").nth(1)).filter(|d| *d != "lo" && !d.starts_with("out"));
        left.extend(devices.map(|d| format!("network device {d}")));
        if self.data().exists() {
            left.push(data);
        }
        left
    }
}

impl Drop for Cluster {
    /// Also after a panic; each part by itself, as far as it goes.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.data().exists() {
            let mut uninstall = self.inside(&self.timonel);
            uninstall.args(["uninstall", "--yes", "--data-dir"]).arg(self.data()).env("HOME", &self.dir);
            if let Err(e) = self.task(uninstall) {
                eprintln!("cleaning up: {e:#}");
            }
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).stderr(Stdio::null()).status();
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        // Empty now; were something still mounted below, it would not be ours to delete.
        let _ = fs::remove_dir(&self.dir);
    }
}
