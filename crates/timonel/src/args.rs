//! The command line. Flags are stable: README and `--help` say the same.

use clap::{Arg, ArgAction, ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

impl Args {
    /// Reads the command line; wrong ones end the process with a message.
    pub(crate) fn read(words: Vec<OsString>) -> Self {
        let matches = Self::command().get_matches_from(words);
        let mut args = Self::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
        if let (Command::Up(o) | Command::Server(o), Some((name, given))) = (&mut args.command, matches.subcommand()) {
            o.told = told(name, given);
        }
        args
    }
}

/// The flags of a subcommand with their values; several in brackets.
fn told(name: &str, given: &ArgMatches) -> BTreeMap<String, String> {
    let command = Args::command();
    let flags = command.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments);
    let value = |arg: &Arg| {
        let raw = given.try_get_raw(arg.get_id().as_str()).ok().flatten();
        let values: Vec<String> = raw.into_iter().flatten().map(|v| v.to_string_lossy().into_owned()).collect();
        match arg.get_action() {
            ArgAction::Append => format!("[{}]", values.join(",")),
            ArgAction::Count => given.get_count(arg.get_id().as_str()).to_string(),
            _ => values.concat(),
        }
    };
    flags.filter_map(|arg| Some((arg.get_long()?.to_owned(), value(arg)))).collect()
}

/// Kubernetes v1.36 in one program.
#[derive(Parser, Debug)]
#[command(name = "timonel", version, about, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Start a one-node cluster in the foreground.
    Up(Options),
    /// The same as a service: no friendly screen.
    Server(Options),
    /// Tell whether the cluster of a data directory runs, and how it is.
    Status(Place),
    /// Find what this machine lacks, with the command that mends it.
    Doctor(DoctorOptions),
    /// Stop all pods and remove network and data of a cluster.
    Uninstall(UninstallOptions),
    /// Our own kubectl (also when the binary is called `kubectl`).
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Write the cluster's state and keys to a file, while it runs or not.
    Backup(BackupOptions),
    /// Bring a cluster back from such a file, into an empty data directory or etcd.
    Restore(RestoreOptions),
    /// Import, pull, list and remove images of the node.
    Image(ImageOptions),
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct Place {
    /// Where the cluster keeps everything.
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/timonel", env = "TIMONEL_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct BackupOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) engine: crate::engine::EngineFlags,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct RestoreOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) engine: crate::engine::EngineFlags,
    /// With etcd: how far behind the backup's revision the restored cluster begins. At least as many as were written after the
    /// backup was taken, so that no client meets a resource version twice; each costs a write.
    #[arg(long, value_name = "REVISIONS", default_value_t = 10_000)]
    pub(crate) raise_by: u64,
    /// The file that `timonel backup` wrote.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Port of the API server.
    #[arg(long, value_name = "N", default_value_t = 6443)]
    pub(crate) secure_port: u16,
    /// Address that the API server listens on.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,
    /// Address that others reach this machine at; the one of the default route, or loopback, unless given.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) advertise_address: Option<IpAddr>,
    /// Name of this node; the host name unless given.
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,
    /// Where pod addresses come from.
    #[arg(long, value_name = "CIDR", default_value = "10.244.0.0/16")]
    pub(crate) pod_cidr: IpNet,
    /// Where service addresses come from; cluster DNS is the tenth.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/12")]
    pub(crate) service_cidr: IpNet,
    /// Write the kubeconfig here instead of merging it into the user's.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Control plane alone.
    #[arg(long)]
    pub(crate) no_node: bool,
    /// Parts that do not run: dns, proxy, scheduler, names of controllers, or * for all controllers.
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub(crate) disable: Vec<String>,
    /// Ask this registry first for images of HOST (of every registry unless HOST is given): [HOST=]URL; may be repeated.
    #[arg(long, value_name = "[HOST=]URL")]
    pub(crate) registry_mirror: Vec<String>,
    /// When pods are evicted, as the kubelet's flag: memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,...
    #[arg(long, value_name = "THRESHOLDS")]
    pub(crate) eviction_hard: Option<String>,
    /// How long a service account's token in a Secret is unused before it is withdrawn, and withdrawn before it is deleted.
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = crate::serving::duration)]
    pub(crate) legacy_service_account_token_clean_up_period: Duration,
    /// Also deploy the example app and wait until it works.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Directory of the example's images (made by `cargo xtask images`).
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) demo_images: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: crate::engine::EngineFlags,
    #[command(flatten)]
    pub(crate) serving: crate::serving::Serving,
    /// Format of the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// More log; twice for all of it.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// All of these with their values, as they were given or are by default.
    #[arg(skip)]
    pub(crate) told: BTreeMap<String, String>,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Port that the API server would listen on.
    #[arg(long, value_name = "N", default_value_t = 6443)]
    pub(crate) secure_port: u16,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct UninstallOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(ClapArgs, Debug, Clone)]
pub(crate) struct ImageOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Subcommand, Debug, Clone)]
pub(crate) enum ImageCommand {
    /// Import OCI or Docker archives.
    Import { files: Vec<PathBuf> },
    /// Pull an image from its registry.
    Pull { image: String },
    /// List the node's images.
    Ls,
    /// Remove images.
    Rm { images: Vec<String> },
}
