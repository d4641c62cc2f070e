//! `cargo xtask images`: the images of the demo and of the tests, composed without a container engine.
//!
//! Ours from static binaries of `examples/dockercoins`, Redis, nginx and busybox from Debian's packages (as installed, or
//! fetched with `apt-get download`). Each file in `target/images` is an OCI layout and a `docker save` archive at once,
//! so `timonel image import`, `ctr images import`, `docker load` and `podman load` all take it. Same input, same bytes.

mod compose;
mod debian;
mod elf;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use compose::{Config, Image, Layer};

/// Which images, and where to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory for the archives.
    #[arg(long, default_value = "target/images")]
    out: PathBuf,
    /// Only these (rng, hasher, worker, webui, redis, toolbox, nginx); default: all.
    names: Vec<String>,
}

/// The services of the demo; their binaries have the same names.
const SERVICES: [&str; 4] = ["rng", "hasher", "worker", "webui"];
const REPOSITORY: &str = "timonel.local/dockercoins";

/// Composes what was asked for. An image whose Debian package cannot be had is named with the reason, and fails the
/// task only after all others are done.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known = SERVICES.iter().chain(&["redis", "toolbox", "nginx"]);
    if let Some(unknown) = args.names.iter().find(|n| !known.clone().any(|k| k == n)) {
        bail!("there is no image {unknown:?}; known: {}", known.copied().collect::<Vec<_>>().join(", "));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let out = if args.out.is_absolute() { args.out.clone() } else { root.join(&args.out) };
    std::fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|n| n == name);
    let mut failed = Vec::new();
    // Without a shell the other images still work; only `kubectl exec … sh` does not.
    let mut base = skeleton();
    let shell = add_busybox(&mut base, &out);
    let mut attempt = |name: &str, make: &dyn Fn() -> Result<()>| {
        if wanted(name)
            && let Err(e) = make()
        {
            eprintln!("{name}: not made: {e:#}");
            failed.push(name.to_owned());
        }
    };
    attempt("toolbox", &|| toolbox(&base, &shell, &out));
    attempt("redis", &|| redis(&base, &out));
    attempt("nginx", &|| nginx(&base, &out));
    if SERVICES.iter().any(|s| wanted(s)) {
        let binaries = build(root, &out)?;
        for name in SERVICES {
            attempt(name, &|| service(&base, &binaries, &out, name));
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("not made: {}", failed.join(", ")) }
}

/// Builds the four services as static binaries and returns their directory.
fn build(root: &Path, out: &Path) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let dir = out.join("build");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--package", "dockercoins", "--bins", "--target", &target, "--target-dir"])
        .arg(&dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .context("run cargo")?;
    if !status.success() {
        bail!("cargo build of examples/dockercoins failed");
    }
    Ok(dir.join(target).join("release"))
}

fn service(base: &Layer, binaries: &Path, out: &Path, name: &str) -> Result<()> {
    let binary = binaries.join(name);
    if let Some(interpreter) = elf::read(&binary)?.interpreter {
        bail!("{} is not static: it wants {interpreter}", binary.display());
    }
    let mut layer = Layer::default();
    layer.file(&format!("/usr/local/bin/{name}"), &binary, 0o755)?;
    let plain = Config { entrypoint: vec![name.into()], ports: vec!["80/tcp".into()], ..Config::default() };
    let versions = match name {
        "worker" => {
            let plain = Config { ports: Vec::new(), ..plain };
            let eager = Config { entrypoint: vec![name.into(), "--pause-ms=0".into()], ..plain.clone() };
            vec![("v0.1", plain), ("v0.2", eager)]
        }
        _ => vec![("v0.1", plain)],
    };
    for (version, config) in versions {
        let image = Image { layers: vec![base, &layer], config };
        image.write(&out.join(format!("{name}-{version}.tar")), &[format!("{REPOSITORY}/{name}:{version}")])?;
    }
    Ok(())
}

/// A small root file system, below every image made here.
fn skeleton() -> Layer {
    let mut layer = Layer::default();
    for dir in ["bin", "dev", "etc", "home", "mnt", "opt", "proc", "run", "sbin", "srv", "sys", "usr/bin", "usr/lib",
                "usr/local/bin", "usr/sbin", "usr/share", "var/lib", "var/log"] {
        layer.dir(&format!("/{dir}"), 0o755, (0, 0));
    }
    layer.dir("/root", 0o700, (0, 0));
    layer.dir("/tmp", 0o1777, (0, 0));
    layer.symlink("/var/run", "/run");
    layer.text("/etc/passwd", PASSWD);
    layer.text("/etc/group", GROUP);
    layer.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    layer.text("/etc/os-release", "ID=timonel-toolbox\nNAME=\"Timonel toolbox\"\nPRETTY_NAME=\"Timonel toolbox (busybox)\"\n");
    layer
}

/// Adds a shell and its hundreds of commands: all are one static program.
fn add_busybox(layer: &mut Layer, out: &Path) -> Result<()> {
    let root = debian::root_with("/bin/busybox", &["busybox-static"], out)?;
    let busybox = debian::resolve(&root, Path::new("/bin/busybox"))?;
    if elf::read(&busybox)?.interpreter.is_some() {
        bail!("{} is not static; install busybox-static", busybox.display());
    }
    let list = Command::new(&busybox).arg("--list").output().context("run busybox --list")?;
    layer.file("/bin/busybox", &busybox, 0o755)?;
    for applet in String::from_utf8(list.stdout)?.lines().filter(|a| *a != "busybox") {
        layer.symlink(&format!("/bin/{applet}"), "busybox");
    }
    layer.symlink("/usr/bin/env", "../../bin/busybox");
    Ok(())
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\n\
    nginx:x:101:101:nginx:/nonexistent:/bin/false\n\
    redis:x:999:999:redis:/data:/bin/false\n\
    nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnginx:x:101:\nredis:x:999:\nnogroup:x:65534:\n";

fn toolbox(base: &Layer, shell: &Result<()>, out: &Path) -> Result<()> {
    if let Err(e) = shell {
        bail!("{e:#}");
    }
    let image = Image { layers: vec![base], config: Config { cmd: vec!["sh".into()], ..Config::default() } };
    let names = ["busybox:latest", "busybox:1", "alpine:latest", "alpine:3"].map(|n| format!("docker.io/library/{n}"));
    image.write(&out.join("toolbox.tar"), &names)
}

fn redis(base: &Layer, out: &Path) -> Result<()> {
    let root = debian::root_with("/usr/bin/redis-server", &["redis-server", "redis-tools"], out)?;
    let mut layer = Layer::default();
    for program in ["redis-server", "redis-cli", "redis-benchmark"] {
        debian::add_program(&mut layer, &root, &format!("/usr/bin/{program}"), &format!("/usr/local/bin/{program}"))?;
    }
    layer.dir("/data", 0o755, (999, 999));
    let config = Config {
        entrypoint: vec!["redis-server".into()],
        // There is no configuration file that would say who may connect: as in the official image, everyone.
        cmd: vec!["--protected-mode".into(), "no".into()],
        user: "999:999".into(),
        workdir: "/data".into(),
        volumes: vec!["/data".into()],
        ports: vec!["6379/tcp".into()],
        ..Config::default()
    };
    let names = ["latest", "7"].map(|tag| format!("docker.io/library/redis:{tag}"));
    Image { layers: vec![base, &layer], config }.write(&out.join("redis.tar"), &names)
}

fn nginx(base: &Layer, out: &Path) -> Result<()> {
    let root = debian::root_with("/usr/sbin/nginx", &["nginx", "nginx-common"], out)?;
    let mut layer = Layer::default();
    debian::add_program(&mut layer, &root, "/usr/sbin/nginx", "/usr/sbin/nginx")?;
    let mime = debian::resolve(&root, Path::new("/etc/nginx/mime.types"))?;
    layer.file("/etc/nginx/mime.types", &mime, 0o644)?;
    layer.text("/etc/nginx/nginx.conf", include_str!("images/nginx.conf"));
    layer.text("/etc/nginx/conf.d/default.conf", include_str!("images/nginx-default.conf"));
    layer.text("/usr/share/nginx/html/index.html", include_str!("images/nginx-index.html"));
    layer.symlink("/var/log/nginx/access.log", "/dev/stdout");
    layer.symlink("/var/log/nginx/error.log", "/dev/stderr");
    layer.dir("/var/lib/nginx", 0o755, (0, 0));
    let config = Config {
        cmd: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
        stop_signal: "SIGQUIT".into(),
        ports: vec!["80/tcp".into()],
        ..Config::default()
    };
    let names = ["latest", "1.27"].map(|tag| format!("docker.io/library/nginx:{tag}"));
    Image { layers: vec![base, &layer], config }.write(&out.join("nginx.tar"), &names)
}
