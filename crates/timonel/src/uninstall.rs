//! `timonel uninstall`: stops pods, unmounts, removes network and data.

use crate::args::UninstallOptions;
use crate::kubeconfig;
use crate::places::Places;
use anyhow::{Context, Result, bail};
use runtime::cri::ContainerRuntime;
use std::io::Write;

/// Asks (unless told not to) and removes everything of a data directory.
pub(crate) fn uninstall(options: &UninstallOptions) -> Result<i32> {
    let dir = &options.place.data_dir;
    let places = Places::new(dir);
    if !dir.exists() {
        println!("there is nothing in {}", dir.display());
        return Ok(0);
    }
    if !places.store().exists() && !places.runtime().exists() {
        bail!("{} does not look like a data directory of timonel: it is left alone", dir.display());
    }
    if !options.yes && !agreed(dir)? {
        return Ok(1);
    }
    let lock = store::Embedded::open(places.store(), store::Options::default());
    if let Err(e @ store::OpenError::Locked { .. }) = &lock {
        bail!("{e}");
    }
    drop(lock);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(remove_pods(&places))?;
    remove_network(&places);
    std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    if let Some(file) = kubeconfig::user_file() {
        kubeconfig::forget(&file)?;
    }
    println!("removed {}", dir.display());
    Ok(0)
}

fn agreed(dir: &std::path::Path) -> Result<bool> {
    print!("This stops all pods and deletes {}. Continue? [y/N] ", dir.display());
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn remove_pods(places: &Places) -> Result<()> {
    if !places.runtime().exists() {
        return Ok(());
    }
    let (embedded, _) = crate::worker::open_runtime(places, runtime::image::RegistryConfig::default()).await?;
    for sandbox in embedded.sandboxes().await? {
        embedded.stop_sandbox(&sandbox.id).await?;
        embedded.remove_sandbox(&sandbox.id).await?;
        println!("stopped pod {}/{}", sandbox.namespace, sandbox.name);
    }
    Ok(())
}

fn remove_network(places: &Places) {
    crate::worker::remove_network(places);
    unmount_below(places.root());
}

/// Unmounts everything below a directory, deepest first.
fn unmount_below(root: &std::path::Path) {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else { return };
    let mut points: Vec<&str> = mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|p| std::path::Path::new(p).starts_with(root)).collect();
    points.sort_by_key(|p| std::cmp::Reverse(p.len()));
    for p in points {
        let _ = std::process::Command::new("umount").args(["-l", p]).status();
    }
}
