//! `timonel up` and `timonel server`: start, tell, wait, stop.

use crate::args::{LogFormat, Options};
use crate::config::Config;
use crate::control::{self, Control};
use crate::kubeconfig;
use crate::screen::{Screen, seconds};
use crate::worker;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Stack of a worker thread. A build without optimisation needs more than a mebibyte to patch a CronJob, three templates deep;
/// what is not touched costs no memory.
const STACK_BYTES: usize = 4 << 20;

/// Runs a cluster until it is told to stop.
pub(crate) fn up(options: &Options, friendly: bool) -> Result<i32> {
    start_log(options, friendly);
    check_machine(options)?;
    let config = Config::settle(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("timonel")
        .thread_stack_size(STACK_BYTES)
        .build()
        .context("starting the async runtime")?;
    let code = runtime.block_on(run(options, &config, friendly));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

fn check_machine(options: &Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("a node needs Linux: run this in a Linux machine or VM");
    }
    if !options.no_node && !crate::doctor::is_root() {
        bail!("running containers needs root: type `sudo timonel up`, or `timonel up --no-node --data-dir ~/.timonel` for the control plane alone");
    }
    Ok(())
}

fn start_log(options: &Options, friendly: bool) {
    let level = match (options.verbose, friendly) {
        (0, true) => "warn",
        (0, false) | (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    };
    telemetry::start_log(level, options.log_format == LogFormat::Json);
}

async fn run(options: &Options, config: &Config, friendly: bool) -> Result<i32> {
    let mut screen = Screen::new(friendly);
    let shutdown = CancellationToken::new();
    screen.line(&format!("Timonel {} (Kubernetes {})", env!("CARGO_PKG_VERSION"), apiserver::GIT_VERSION));
    let mut control = control::start(config, &mut screen, &shutdown).await?;
    let worker = if config.node { Some(worker::start(config, &control, &mut screen, &shutdown).await?) } else { None };
    let file = publish_kubeconfig(options, &control)?;
    screen.line(&format!("ready in {}", seconds(screen.elapsed())));
    tell(&screen, &file);
    let told = demo_or_signal(options, config, &control, worker.as_ref(), &mut screen).await?;
    if !told {
        tokio::select! {
            signal = wait_for_signal() => signal?,
            why = control.scheduler_failed() => bail!("the scheduler has failed ({why}); start again, and report this as a bug"),
        }
    }
    screen.line("\nstopping the control plane …");
    shutdown.cancel();
    if let Some(w) = worker {
        w.stop().await;
    }
    control.stop().await;
    farewell(&screen, config);
    Ok(0)
}

/// Deploys the demo if asked to; `true` when a signal came first.
async fn demo_or_signal(
    options: &Options,
    config: &Config,
    control: &Control,
    worker: Option<&worker::Worker>,
    screen: &mut Screen,
) -> Result<bool> {
    if !options.demo {
        return Ok(false);
    }
    let images = worker.map(|w| w.images.clone()).context("--demo needs a node: leave --no-node out")?;
    tokio::select! {
        done = crate::demo::deploy(options, config, control, images, screen) => done.map(|()| false),
        signal = wait_for_signal() => signal.map(|()| true),
    }
}

fn publish_kubeconfig(options: &Options, control: &Control) -> Result<PathBuf> {
    if let Some(file) = &options.kubeconfig {
        kubeconfig::write(file, &control.admin)?;
        return Ok(file.clone());
    }
    let file = kubeconfig::user_file().context("there is no home directory for a kubeconfig: give one with --kubeconfig FILE")?;
    kubeconfig::merge(&file, &control.admin)?;
    Ok(file)
}

fn tell(screen: &Screen, file: &std::path::Path) {
    screen.line(&format!("  kubeconfig {}, context {}", file.display(), kubeconfig::CONTEXT));
    screen.line("  next: kubectl get nodes");
    screen.line("  Ctrl-C stops the control plane; pods keep running");
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    tokio::select! {
        r = tokio::signal::ctrl_c() => r.context("waiting for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

fn farewell(screen: &Screen, config: &Config) {
    let dir = config.places.root().display();
    screen.line("stopped. Nothing was lost: the same command brings the cluster back.");
    if config.node {
        screen.line("Pods keep running. To stop and remove everything:");
        screen.line(&format!("  timonel uninstall --data-dir {dir}"));
    }
}
