//! Programs out of Debian's packages: from this machine if they are installed, else fetched with apt, never installed.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::compose::Layer;
use super::elf;

/// Most symlinks followed in one path.
const MAX_LINKS: usize = 40;

fn triplet() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// A directory tree that holds `program` and its libraries: `/`, or the packages unpacked below `out`.
pub(super) fn root_with(program: &str, packages: &[&str], out: &Path) -> Result<PathBuf> {
    if Path::new(program).exists() {
        return Ok(PathBuf::from("/"));
    }
    let root = out.join("debian").join(packages[0]);
    if resolve(&root, Path::new(program)).is_ok() {
        return Ok(root);
    }
    fs::create_dir_all(&root)?;
    let debs = out.join("debian").join(format!("{}.debs", packages[0]));
    fs::create_dir_all(&debs)?;
    let names = closure(packages)?;
    let mut apt = Command::new("apt-get");
    apt.current_dir(&debs).args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(&names);
    run(&mut apt).with_context(|| format!("{program} is not installed, and apt cannot fetch {}", packages.join(", ")))?;
    for entry in fs::read_dir(&debs)? {
        run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&root))?;
    }
    resolve(&root, Path::new(program)).with_context(|| format!("{program} is in none of {}", names.join(", ")))?;
    Ok(root)
}

/// The packages and the library packages that they depend on.
fn closure(packages: &[&str]) -> Result<Vec<String>> {
    let mut seen: BTreeSet<String> = packages.iter().map(|p| (*p).to_owned()).collect();
    let mut todo: VecDeque<String> = seen.iter().cloned().collect();
    while let Some(package) = todo.pop_front() {
        let output = Command::new("apt-cache").args(["depends", "--important", &package]).output().context("run apt-cache")?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some(name) = line.trim().strip_prefix("Depends: ") else { continue };
            let library = name.starts_with("lib") || name == "zlib1g";
            if library && !name.starts_with("libnginx-mod") && seen.insert(name.to_owned()) {
                todo.push_back(name.to_owned());
            }
        }
    }
    Ok(seen.into_iter().collect())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Follows symlinks as they would be followed inside `root`.
pub(super) fn resolve(root: &Path, path: &Path) -> Result<PathBuf> {
    let mut todo: VecDeque<PathBuf> = path.components().map(|c| PathBuf::from(c.as_os_str())).collect();
    let (mut inside, mut links) = (PathBuf::new(), 0);
    while let Some(part) = todo.pop_front() {
        match part.components().next() {
            Some(Component::Normal(_)) => inside.push(&part),
            Some(Component::ParentDir) => drop(inside.pop()),
            Some(Component::RootDir) => inside.clear(),
            _ => {}
        }
        let here = root.join(&inside);
        let meta = fs::symlink_metadata(&here).with_context(|| format!("no {}", here.display()))?;
        if meta.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                bail!("{}: too many links", here.display());
            }
            inside.pop();
            let target = fs::read_link(&here)?;
            for part in target.components().rev() {
                todo.push_front(PathBuf::from(part.as_os_str()));
            }
        }
    }
    Ok(root.join(inside))
}

/// Adds a program with its loader and every library that it needs, by name, where the loader looks.
pub(super) fn add_program(layer: &mut Layer, root: &Path, program: &str, to: &str) -> Result<()> {
    let file = resolve(root, Path::new(program))?;
    layer.file(to, &file, 0o755)?;
    let mut todo = VecDeque::from([file]);
    let mut seen = BTreeSet::new();
    while let Some(file) = todo.pop_front() {
        let dynamic = elf::read(&file)?;
        if let Some(interpreter) = dynamic.interpreter {
            layer.file(&interpreter, &resolve(root, Path::new(&interpreter))?, 0o755)?;
        }
        for name in dynamic.needed {
            if seen.insert(name.clone()) {
                let library = find(root, &name).with_context(|| format!("{} needs {name}", file.display()))?;
                layer.file(&format!("/usr/lib/{}/{name}", triplet()), &library, 0o644)?;
                todo.push_back(library);
            }
        }
    }
    Ok(())
}

fn find(root: &Path, name: &str) -> Result<PathBuf> {
    let dirs = [format!("/lib/{}", triplet()), format!("/usr/lib/{}", triplet()), "/lib64".into(), "/usr/lib64".into(), "/lib".into(), "/usr/lib".into()];
    let found = dirs.iter().find_map(|dir| resolve(root, &Path::new(dir).join(name)).ok());
    found.with_context(|| format!("no {name} in the library directories"))
}
