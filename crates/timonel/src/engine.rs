//! Which engine keeps the cluster's history: the embedded one below the data directory, or etcd, by kube-apiserver's own
//! flags. Reference: "kube-apiserver" in the command line tools reference.

use crate::config::Config;
use anyhow::{Context, Result, bail};
use clap::Args;
use codec::storage::Form;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{ConnectError, Embedded, Engine, Etcd, EtcdOptions, OpenError};

/// Flags of the engine.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Store")]
pub(crate) struct EngineFlags {
    /// Keep the cluster's state in etcd: http(s)://host:port of its members. Servers that share it need the same pki directory.
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub(crate) etcd_servers: Vec<String>,
    /// Authority that etcd's certificates come from (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) etcd_cafile: Option<PathBuf>,
    /// Certificate to show to etcd (PEM).
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub(crate) etcd_certfile: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub(crate) etcd_keyfile: Option<PathBuf>,
    /// What keys begin with in etcd.
    #[arg(long, value_name = "PREFIX", default_value = "/registry")]
    pub(crate) etcd_prefix: String,
    /// A user of etcd's own, where its authentication is on and the certificate does not say who asks.
    #[arg(long, value_name = "NAME", requires = "etcd_password_file")]
    pub(crate) etcd_username: Option<String>,
    /// File with that user's password.
    #[arg(long, value_name = "FILE", requires = "etcd_username")]
    pub(crate) etcd_password_file: Option<PathBuf>,
}

/// A server that was killed may still hold the store's lock for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// etcd is waited for so long (kube-apiserver's limit).
const CONNECT_WAIT: Duration = Duration::from_secs(20);
const CONNECT_LOOK: Duration = Duration::from_millis(250);

impl EngineFlags {
    /// Whether other servers may share the store.
    pub(crate) fn is_shared(&self) -> bool {
        !self.etcd_servers.is_empty()
    }

    /// The form of stored values: Kubernetes' own where other programs may read them.
    pub(crate) fn form(&self) -> Form {
        if self.is_shared() { Form::Kubernetes } else { Form::Json }
    }

    /// What keys begin with where they are kept: encryption binds values to their keys.
    pub(crate) fn root(&self) -> Option<String> {
        let inner = self.etcd_prefix.trim_matches('/');
        (self.is_shared() && inner != "registry").then(|| if inner.is_empty() { String::new() } else { format!("/{inner}") })
    }

    /// A connection to the etcd that the flags name.
    pub(crate) async fn connect(&self) -> Result<Arc<Etcd>> {
        Ok(Arc::new(Etcd::connect(&self.etcd()?).await?))
    }

    fn etcd(&self) -> Result<EtcdOptions> {
        let identity = self.etcd_certfile.as_deref().zip(self.etcd_keyfile.as_deref());
        if self.etcd_cafile.is_none() && self.etcd_servers.iter().any(|s| s.starts_with("https://")) {
            bail!("--etcd-servers names https:// addresses: say with --etcd-cafile whose certificates to trust");
        }
        Ok(EtcdOptions {
            endpoints: self.etcd_servers.clone(),
            ca_pem: self.etcd_cafile.as_deref().map(read).transpose()?,
            identity_pem: identity.map(|(c, k)| Ok::<_, anyhow::Error>((read(c)?, read(k)?))).transpose()?,
            credentials: self.etcd_username.clone().zip(self.password()?),
            prefix: self.etcd_prefix.clone(),
        })
    }

    fn password(&self) -> Result<Option<String>> {
        let Some(file) = self.etcd_password_file.as_deref() else { return Ok(None) };
        let text = String::from_utf8(read(file)?).with_context(|| format!("reading {}", file.display()))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// Members that start with this server need a moment.
async fn patient(flags: &EngineFlags) -> Result<Arc<Etcd>> {
    let (options, until) = (flags.etcd()?, Instant::now() + CONNECT_WAIT);
    loop {
        match Etcd::connect(&options).await {
            Err(ConnectError::Unreachable { .. }) if Instant::now() < until => tokio::time::sleep(CONNECT_LOOK).await,
            connected => return Ok(Arc::new(connected?)),
        }
    }
}

/// Opens the engine that the flags name.
pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Engine>> {
    if config.engine.is_shared() {
        return Ok(patient(&config.engine).await?);
    }
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match Embedded::open(config.places.store(), store::Options::default()) {
            Err(OpenError::Locked { .. }) if Instant::now() < until => tokio::time::sleep(LOCK_LOOK).await,
            opened => return Ok(Arc::new(opened?)),
        }
    }
}
