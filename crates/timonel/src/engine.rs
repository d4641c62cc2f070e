//! Which engine keeps the cluster's history: the embedded one below the data directory, or etcd, by kube-apiserver's own
//! flags. Reference: "kube-apiserver" in the command line tools reference.

use crate::config::Config;
use anyhow::{Context, Result, bail};
use clap::Args;
use codec::storage::Form;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Embedded, Engine, Etcd, EtcdOptions};

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
}

impl EngineFlags {
    /// Whether other servers may share the store.
    pub(crate) fn is_shared(&self) -> bool {
        !self.etcd_servers.is_empty()
    }

    /// The form of stored values: Kubernetes' own where other programs may read them.
    pub(crate) fn form(&self) -> Form {
        if self.is_shared() { Form::Kubernetes } else { Form::Json }
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
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// Opens the engine that the flags name.
pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Engine>> {
    if config.engine.is_shared() {
        return Ok(config.engine.connect().await?);
    }
    Ok(Arc::new(Embedded::open(config.places.store(), store::Options::default())?))
}
