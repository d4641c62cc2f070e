//! Control groups as the kernel has them here: one unified tree (v2), a tree a controller (v1), or v1 with an empty v2
//! tree beside it (hybrid), which still freezes and kills (cgroups(7), Documentation/admin-guide/cgroup-v2.rst).
//!
//! A [`Cgroup`] is a path that exists in every hierarchy. Limits that a kernel does not know are skipped when they are not
//! asked for and errors when they are.

mod device;
mod usage;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::cri::{Resources, Usage};

pub(crate) use device::DeviceRule;

/// One mounted v1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    pub(crate) controllers: Vec<String>,
}

/// How this machine mounts cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    V2(PathBuf),
    V1 { hierarchies: Vec<Hierarchy>, unified: Option<PathBuf> },
}

impl Layout {
    /// Reads the layout from the text of `/proc/self/mountinfo`.
    pub(crate) fn parse(mountinfo: &str) -> Layout {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(mount) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut fields = right.split(' ');
            let (kind, options) = (fields.next().unwrap_or(""), fields.nth(1).unwrap_or(""));
            match kind {
                "cgroup2" if unified.is_none() => unified = Some(mount),
                "cgroup" => {
                    let controllers: Vec<String> = options
                        .split(',')
                        .filter(|o| v1::CONTROLLERS.contains(o) || o.starts_with("name="))
                        .map(str::to_owned)
                        .collect();
                    if !controllers.is_empty() && !hierarchies.iter().any(|h| h.controllers == controllers) {
                        hierarchies.push(Hierarchy { mount, controllers });
                    }
                }
                _ => {}
            }
        }
        match unified {
            Some(mount) if hierarchies.iter().all(|h| h.controllers.iter().all(|c| c.starts_with("name="))) => {
                Layout::V2(mount)
            }
            unified => Layout::V1 { hierarchies, unified },
        }
    }

    /// The layout of this machine, read once.
    pub(crate) fn of_this_machine() -> &'static Layout {
        static LAYOUT: OnceLock<Layout> = OnceLock::new();
        LAYOUT.get_or_init(|| Layout::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()))
    }

    /// What a container sees below `/sys/fs/cgroup`. The v2 tree beside v1 stays hidden: it limits nothing, and programs
    /// that find it take the machine for v2 (runc hides it too).
    pub(crate) fn shown(&self) -> Vec<(PathBuf, String)> {
        let hidden = match self {
            Layout::V2(_) => None,
            Layout::V1 { unified, .. } => unified.clone(),
        };
        self.mounts().into_iter().filter(|(mount, _)| Some(mount) != hidden.as_ref()).collect()
    }

    /// Every mount point, with the name it has inside a container's `/sys/fs/cgroup`.
    pub(crate) fn mounts(&self) -> Vec<(PathBuf, String)> {
        match self {
            Layout::V2(mount) => vec![(mount.clone(), String::new())],
            Layout::V1 { hierarchies, unified } => {
                let named = |mount: &Path| mount.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                hierarchies
                    .iter()
                    .map(|h| h.mount.as_path())
                    .chain(unified.as_deref())
                    .map(|mount| (mount.to_owned(), named(mount)))
                    .collect()
            }
        }
    }
}

/// A control group: the same relative path in every hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    pub(crate) layout: &'static Layout,
    pub(crate) path: String,
}

impl Cgroup {
    /// Names (does not make) the group at `path` below each hierarchy's root.
    pub(crate) fn at(path: &str) -> Cgroup {
        Cgroup { layout: Layout::of_this_machine(), path: path.trim_matches('/').to_owned() }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.layout.mounts().into_iter().map(|(mount, _)| mount.join(&self.path)).collect()
    }

    fn v2_dir(&self) -> Option<PathBuf> {
        match self.layout {
            Layout::V2(mount) => Some(mount.join(&self.path)),
            Layout::V1 { unified, .. } => unified.as_ref().map(|mount| mount.join(&self.path)),
        }
    }

    fn v1_dir(&self, controller: &str) -> Option<PathBuf> {
        match self.layout {
            Layout::V2(_) => None,
            Layout::V1 { hierarchies, .. } => hierarchies
                .iter()
                .find(|h| h.controllers.iter().any(|c| c == controller))
                .map(|h| h.mount.join(&self.path)),
        }
    }

    /// Makes the group in every hierarchy, with the controllers it needs switched on along the way.
    pub(crate) fn create(&self) -> io::Result<()> {
        match self.layout {
            Layout::V2(mount) => v2::create(mount, &self.path),
            Layout::V1 { hierarchies, unified } => {
                for hierarchy in hierarchies {
                    v1::create(hierarchy, &self.path)?;
                }
                unified.as_ref().map_or(Ok(()), |mount| fs::create_dir_all(mount.join(&self.path)))
            }
        }
    }

    /// Writes the limits that are given.
    pub(crate) fn limit(&self, resources: &Resources) -> io::Result<()> {
        match self.layout {
            Layout::V2(mount) => v2::limit(&mount.join(&self.path), resources),
            Layout::V1 { .. } => v1::limit(&|controller| self.v1_dir(controller), resources),
        }
    }

    /// v2 only: when one process of a container is killed for memory, all are.
    pub(crate) fn kill_together_on_oom(&self) {
        if let Layout::V2(mount) = self.layout {
            let _ = fs::write(mount.join(&self.path).join("memory.oom.group"), "1");
        }
    }

    /// Allows just these devices.
    pub(crate) fn limit_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        match self.layout {
            // A group without a program may use every device.
            Layout::V2(_) if rules.contains(&DeviceRule::ANY) => Ok(()),
            Layout::V2(mount) => {
                let dir = fs::File::open(mount.join(&self.path))?;
                super::sys::attach_device_program(&dir, &device::program(rules))
            }
            Layout::V1 { .. } => self.v1_dir("devices").map_or(Ok(()), |dir| device::write_v1(&dir, rules)),
        }
    }

    /// Moves a process (0: the caller) into the group.
    pub(crate) fn join(&self, pid: i32) -> io::Result<()> {
        for dir in self.dirs() {
            fs::write(dir.join("cgroup.procs"), pid.to_string()).map_err(|e| at(&dir, e))?;
        }
        Ok(())
    }

    /// The processes directly in the group.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let dir = self.v1_dir("pids").or_else(|| self.v1_dir("memory")).or_else(|| self.v2_dir());
        dir.and_then(|dir| fs::read_to_string(dir.join("cgroup.procs")).ok())
            .map(|text| text.lines().filter_map(|line| line.parse().ok()).collect())
            .unwrap_or_default()
    }

    /// Kills every process of the group: in one stroke where the kernel can (v2, 5.14), else until none is left.
    pub(crate) fn kill(&self) {
        if self.v2_dir().is_some_and(|dir| fs::write(dir.join("cgroup.kill"), "1").is_ok()) {
            return;
        }
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            let processes = self.processes();
            if processes.is_empty() {
                return;
            }
            for pid in processes {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            }
        }
    }

    /// How many processes of the group the kernel has killed for memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let file = match self.layout {
            Layout::V2(mount) => Some(mount.join(&self.path).join("memory.events")),
            Layout::V1 { .. } => self.v1_dir("memory").map(|dir| dir.join("memory.oom_control")),
        };
        file.and_then(|file| fs::read_to_string(file).ok()).map_or(0, |text| usage::field(&text, "oom_kill"))
    }

    /// What the group has used.
    pub(crate) fn usage(&self) -> Usage {
        match self.layout {
            Layout::V2(mount) => usage::read_v2(&mount.join(&self.path)),
            Layout::V1 { .. } => usage::read_v1(&|controller| self.v1_dir(controller)),
        }
    }

    /// Removes the group; what still has processes or children stays (and is an error).
    pub(crate) fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for dir in self.dirs() {
            match fs::remove_dir(&dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => result = Err(at(&dir, e)),
                _ => {}
            }
        }
        result
    }

    /// Removes the group with everything below it (children first).
    pub(crate) fn remove_tree(&self) -> io::Result<()> {
        self.dirs().iter().try_for_each(|dir| remove_tree(dir))
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(dir, e)),
        _ => Ok(()),
    }
}

/// An error that names the file.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Writes one control file, naming it when that fails.
fn write(dir: &Path, file: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
    let path = dir.join(file);
    fs::write(&path, value).map_err(|e| at(&path, e))
}
