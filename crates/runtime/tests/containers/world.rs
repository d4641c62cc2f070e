//! What every test stands on: a runtime in a throwaway directory and cgroup, an image of busybox, short spellings.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use runtime::cri::{ContainerConfig, ContainerRuntime, ContainerState, ContainerStatus, NamespaceMode, SandboxConfig};
use runtime::image::ImageStore;
use runtime::{Embedded, EmbeddedConfig};
use sha2::Digest;

const BUSYBOX: &str = "/bin/busybox";
/// Longest that anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Why these tests cannot run here.
pub(crate) fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let busybox = std::fs::read(BUSYBOX).unwrap_or_default();
    // A program that names an interpreter is not static.
    if busybox.is_empty() || busybox.windows(9).any(|w| w == b"/ld-linux") {
        return Some(format!("no static {BUSYBOX} (apt-get install busybox-static)"));
    }
    None
}

/// The runtime under test.
pub(crate) struct World {
    pub(crate) tokio: tokio::runtime::Runtime,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cgroup: String,
    pub(crate) image: String,
    images: ImageStore,
    current: RefCell<Embedded>,
}

impl World {
    pub(crate) fn new() -> World {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
        let dir = tempfile::Builder::new().prefix("timonel-containers-").tempdir_in("/tmp").expect("a directory");
        let images = ImageStore::open(&dir.path().join("images")).expect("an image store");
        let archive = dir.path().join("busybox.tar");
        std::fs::write(&archive, busybox_archive()).expect("an archive");
        let image = images.import(&archive).expect("the image is imported")[0].id.clone();
        let cgroup = format!("timonel-test-{}", std::process::id());
        let current = RefCell::new(tokio.block_on(open(dir.path(), &cgroup, &images)));
        World { tokio, dir, cgroup, image, images, current }
    }

    /// The runtime.
    pub(crate) fn cri(&self) -> Embedded {
        self.current.borrow().clone()
    }

    /// Opens the runtime anew on the same directory, as after a restart.
    pub(crate) fn reopen(&self) {
        let fresh = self.tokio.block_on(open(self.dir.path(), &self.cgroup, &self.images));
        self.current.replace(fresh);
    }

    /// Waits for a future, but not forever.
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.tokio.block_on(async { tokio::time::timeout(PATIENCE, what).await.expect("in time") })
    }

    pub(crate) fn sandbox_config(&self) -> SandboxConfig {
        SandboxConfig {
            name: "pod".into(),
            namespace: "default".into(),
            uid: "u".into(),
            hostname: "pod-host".into(),
            resolv_conf: Some("nameserver 10.96.0.10\n".into()),
            log_directory: self.dir.path().join("logs"),
            cgroup_parent: "kubepods/burstable/podu".into(),
            pid_mode: NamespaceMode::Container,
            ..SandboxConfig::default()
        }
    }

    pub(crate) fn sandbox(&self) -> String {
        self.wait(self.cri().run_sandbox(self.sandbox_config())).expect("a sandbox")
    }

    /// A container that runs a shell script.
    pub(crate) fn script(&self, script: &str) -> ContainerConfig {
        ContainerConfig {
            name: "c".into(),
            image_id: self.image.clone(),
            command: vec!["sh".into(), "-c".into(), script.into()],
            log_path: "c/0.log".into(),
            pid_mode: NamespaceMode::Container,
            ..ContainerConfig::default()
        }
    }

    pub(crate) fn start(&self, sandbox: &str, config: ContainerConfig) -> String {
        let cri = self.cri();
        self.wait(async {
            let id = cri.create_container(sandbox, config).await.expect("created");
            cri.start_container(&id).await.expect("started");
            id
        })
    }

    /// Waits until a container has ended.
    pub(crate) fn ended(&self, id: &str) -> ContainerStatus {
        let cri = self.cri();
        let mut events = cri.events();
        self.wait(async {
            loop {
                let status = cri.container(id).await.expect("it exists");
                if status.state == ContainerState::Exited {
                    return status;
                }
                let _ = events.recv().await;
            }
        })
    }

    /// Runs a container to its end: status and log.
    pub(crate) fn run(&self, config: ContainerConfig) -> (ContainerStatus, Vec<String>) {
        let _ = std::fs::remove_dir_all(self.dir.path().join("logs"));
        let sandbox = self.sandbox();
        let id = self.start(&sandbox, config);
        let status = self.ended(&id);
        let log = log_of(&status.log_path);
        self.wait(self.cri().remove_sandbox(&sandbox)).expect("removed");
        (status, log)
    }

    /// What a script prints, one line a line.
    pub(crate) fn output(&self, config: ContainerConfig) -> Vec<String> {
        let (status, log) = self.run(config);
        assert_eq!(status.exit_code, 0, "{log:?} {status:?}");
        log.iter().map(|line| line.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect()
    }

    /// Polls a condition that nothing announces.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "never: {what}");
            std::thread::yield_now();
        }
    }

    /// Removes every sandbox.
    pub(crate) fn clean(&self) {
        let cri = self.cri();
        self.wait(async {
            for sandbox in cri.sandboxes().await.expect("a list") {
                cri.remove_sandbox(&sandbox.id).await.expect("removed");
            }
        });
        let _ = std::fs::remove_dir_all(self.dir.path().join("logs"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for line in std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
            let Some(mount) = line.split(' ').nth(4).filter(|m| m.starts_with("/sys/fs/cgroup")) else { continue };
            for part in ["kubepods/burstable", "kubepods", ""] {
                let _ = std::fs::remove_dir(Path::new(mount).join(&self.cgroup).join(part));
            }
        }
    }
}

/// Runs as a main process of its own: starts a container, tells its id, waits to be killed.
pub(crate) fn as_main(arguments: &[String]) -> ! {
    let [dir, cgroup, image] = arguments else { panic!("directory, cgroup, image") };
    let dir = PathBuf::from(dir);
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("tokio");
    tokio.block_on(async {
        let images = ImageStore::open(&dir.join("images")).expect("an image store");
        let cri = open(&dir, cgroup, &images).await;
        let pod = SandboxConfig {
            log_directory: dir.join("logs"),
            cgroup_parent: "kubepods/burstable/podu".into(),
            pid_mode: NamespaceMode::Container,
            ..SandboxConfig::default()
        };
        let sandbox = cri.run_sandbox(pod).await.expect("a sandbox");
        let script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo after; exit 8";
        let config = ContainerConfig {
            image_id: image.clone(),
            command: vec!["sh".into(), "-c".into(), script.into()],
            log_path: "main/0.log".into(),
            pid_mode: NamespaceMode::Container,
            ..ContainerConfig::default()
        };
        let id = cri.create_container(&sandbox, config).await.expect("created");
        cri.start_container(&id).await.expect("started");
        println!("{id}");
        std::future::pending::<()>().await;
    });
    unreachable!("it waits for ever")
}

async fn open(dir: &Path, cgroup: &str, images: &ImageStore) -> Embedded {
    let config = EmbeddedConfig { cgroup_root: cgroup.to_owned(), ..EmbeddedConfig::new(dir.join("state")) };
    Embedded::open(config, images.clone()).await.expect("the runtime opens")
}

/// The lines of a container's log.
pub(crate) fn log_of(path: &PathBuf) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A docker archive of one layer: busybox, its links, users, groups.
fn busybox_archive() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut file = |name: &str, mode: u32, data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(mode);
        header.set_entry_type(if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        layer.append_data(&mut header, name, data).expect("in memory");
    };
    for dir in ["bin/", "etc/", "root/", "proc/", "sys/", "dev/", "var/"] {
        file(dir, 0o755, b"");
    }
    file("tmp/", 0o1777, b"");
    file("bin/busybox", 0o755, &std::fs::read(BUSYBOX).expect("it was there"));
    file("bin/not-a-program", 0o755, b"plain text");
    file("bin/not-executable", 0o644, b"plain text");
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/tmp:/bin/sh\n");
    file("etc/group", 0o644, b"root:x:0:\nweb:x:34:\nlogs:x:40:web\n");
    for name in [
        "sh", "echo", "cat", "sleep", "id", "ls", "mount", "hostname", "chown", "mkdir", "touch", "stty", "ps", "kill", "grep",
        "dd", "tail", "env", "pwd", "nc", "true", "false", "wc", "head", "rm", "mknod", "unshare", "date", "test", "readlink", "tty", "ulimit",
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{name}"), "busybox").expect("in memory");
    }
    let layer = layer.into_inner().expect("in memory");
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(sha2::Sha256::digest(&layer)))]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": ["busybox:test"], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, data) in
        [("manifest.json", manifest.to_string().into_bytes()), ("config.json", config.to_string().into_bytes()), ("layer.tar", layer)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &data[..]).expect("in memory");
    }
    archive.into_inner().expect("in memory")
}
