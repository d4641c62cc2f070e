//! `up --demo`: imports the example's images, deploys it, waits until it works, and tells where its page is.

use crate::args::Options;
use crate::config::Config;
use crate::control::Control;
use crate::screen::Screen;
use anyhow::{Context, Result, bail};
use kinds::api::apps::v1::Deployment;
use kinds::{Kind, ObjectKey, Target, WriteOptions};
use runtime::image::ImageStore;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The example's manifests (docs: `examples/dockercoins/README.md`).
const MANIFESTS: &[&str] = &[
    include_str!("../../../examples/dockercoins/redis.yaml"),
    include_str!("../../../examples/dockercoins/rng.yaml"),
    include_str!("../../../examples/dockercoins/hasher.yaml"),
    include_str!("../../../examples/dockercoins/worker.yaml"),
    include_str!("../../../examples/dockercoins/webui.yaml"),
];
/// Where `cargo xtask images` puts the archives.
const IMAGES: &str = "target/images";
/// The node port of the page.
const PAGE_PORT: u16 = 30_001;
/// The app may take this long to work.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Deploys the example and waits for it.
pub(crate) async fn deploy(
    options: &Options,
    config: &Config,
    control: &Control,
    images: ImageStore,
    screen: &mut Screen,
) -> Result<()> {
    let dir = options.demo_images.clone().unwrap_or_else(|| PathBuf::from(IMAGES));
    tokio::task::spawn_blocking(move || import(&images, &dir)).await??;
    screen.step("demo: images imported");
    let api = control.api("kubernetes-admin", &["system:masters"]);
    let mut deployments = Vec::new();
    for text in MANIFESTS {
        for document in codec::yaml::documents(text)? {
            let tree = document.value;
            let (version, kind) = (tree["apiVersion"].as_str().unwrap_or_default(), tree["kind"].as_str().unwrap_or_default());
            let kind = Kind::from_api_version(version, kind).context("the example names an unknown kind")?;
            let object = codec::from_value(&kind.into(), tree)?;
            let name = object.meta().name.clone().unwrap_or_default();
            if kind == Kind::Deployment {
                deployments.push(name);
            }
            let target = Target::new(kind, ObjectKey::new("default", ""));
            match api.create(target, object, WriteOptions::default()).await {
                Err(e) if !e.is_already_exists() => return Err(e).context("deploying the example"),
                _ => {}
            }
        }
    }
    tokio::time::timeout(TIMEOUT, working(control, &deployments)).await.context("the example does not work yet: see `kubectl get pods`")?;
    screen.step("demo: the app works");
    screen.line(&format!("  demo page: http://{}:{PAGE_PORT}/", config.advertise));
    Ok(())
}

fn import(store: &ImageStore, dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("no images of the example in {}: make them with `cargo xtask images`", dir.display()))?;
    let mut archives: Vec<PathBuf> =
        entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|x| x == "tar")).collect();
    archives.sort();
    if archives.is_empty() {
        bail!("no image archives in {}: make them with `cargo xtask images`", dir.display());
    }
    for archive in archives {
        store.import(&archive).with_context(|| format!("importing {}", archive.display()))?;
    }
    Ok(())
}

async fn working(control: &Control, names: &[String]) {
    let mut changes = control.registry.image().changes_of(&Kind::Deployment.into());
    loop {
        changes.mark_unchanged();
        let snapshot = control.registry.snapshot();
        let available = |name: &String| {
            let d = snapshot.get::<Deployment>("default", name);
            d.and_then(|d| d.status.as_ref()).and_then(|s| s.available_replicas).unwrap_or(0) > 0
        };
        if names.iter().all(available) || changes.changed().await.is_err() {
            return;
        }
    }
}
