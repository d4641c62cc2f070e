//! What this machine has: the program under test, kubectl, images; and whether containers can run at all.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Google's SDK keeps kubectl in several versions.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";
/// The archives that the steps need, by the image they hold.
const ARCHIVES: [&str; 8] = ["rng-v0.1", "hasher-v0.1", "worker-v0.1", "worker-v0.2", "webui-v0.1", "redis", "nginx", "toolbox"];
/// Programs that the harness and the steps call.
const TOOLS: [&str; 6] = ["nsenter", "ip", "mount", "bash", "curl", "script"];

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.to_owned(), Path::to_owned)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|d| d.join(program)).find(|p| p.is_file())
}

/// A kubectl: `$KUBECTL`, the SDK's of the wanted version, or the one on the path.
#[must_use]
pub fn kubectl(version: Option<&str>) -> Option<PathBuf> {
    if let Some(version) = version {
        return Some(Path::new(SDK).join(format!("kubectl.{version}"))).filter(|p| p.is_file());
    }
    let given = std::env::var_os("KUBECTL").map(PathBuf::from);
    given.or_else(|| kubectl(Some("1.33"))).or_else(|| on_path("kubectl"))
}

/// Why a cluster with containers cannot be tested here, if so.
#[must_use]
pub fn missing() -> Option<String> {
    if !is_root() {
        return Some("not root".to_owned());
    }
    if let Some(tool) = TOOLS.into_iter().find(|t| on_path(t).is_none()) {
        return Some(format!("no program {tool}"));
    }
    if kubectl(None).is_none() {
        return Some("no kubectl on the path, in $KUBECTL or in Google's SDK".to_owned());
    }
    archives().err().map(|e| format!("no images: {e:#}"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}

/// The program under test: `$TIMONEL`, or built now, in the profile and target directory of this test.
pub fn timonel() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("TIMONEL") {
        return Ok(given.into());
    }
    let exe = std::env::current_exe()?;
    let profile_dir = exe.ancestors().nth(2).context("the test's target directory")?;
    let target = profile_dir.parent().context("the target directory")?;
    let mut build = cargo(&["build", "--quiet", "--package", "timonel", "--bin", "timonel", "--target-dir"]);
    build.arg(target);
    if profile_dir.file_name().is_some_and(|n| n == "release") {
        build.arg("--release");
    }
    if !build.status().context("run cargo")?.success() {
        bail!("cargo build of timonel failed");
    }
    Ok(profile_dir.join("timonel"))
}

/// The image archives: `$TIMONEL_IMAGES` or `target/images`, composed now when one is not there.
pub fn archives() -> Result<Vec<PathBuf>> {
    let given = std::env::var_os("TIMONEL_IMAGES").map(PathBuf::from);
    let dir = given.clone().unwrap_or_else(|| workspace().join("target/images"));
    let files: Vec<PathBuf> = ARCHIVES.iter().map(|a| dir.join(format!("{a}.tar"))).collect();
    if files.iter().all(|f| f.is_file()) {
        return Ok(files);
    }
    if given.is_none() {
        let made = cargo(&["run", "--quiet", "--package", "xtask", "--", "images"]).status().context("run cargo")?;
        if made.success() && files.iter().all(|f| f.is_file()) {
            return Ok(files);
        }
    }
    bail!("`cargo xtask images` could not make all of {}", dir.display())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(args);
    command
}
