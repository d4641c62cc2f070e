//! What a name asks for.

use std::net::IpAddr;

use hickory_proto::rr::Name;

/// How names of pods are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodRecords {
    /// Never.
    Disabled,
    /// With the address in the name, whoever has it (kubeadm's choice).
    Insecure,
    /// Only when a pod of the namespace has the address.
    Verified,
}

/// How the cluster's zone is served.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster domain, `cluster.local`.
    pub zone: String,
    /// The addresses of this server: those of the default name server's name.
    pub dns_ips: Vec<IpAddr>,
    /// How names of pods are answered.
    pub pods: PodRecords,
    /// Seconds that answers may be kept.
    pub ttl: u32,
}

impl Config {
    /// As kubeadm's Corefile has it.
    #[must_use]
    pub fn new(zone: impl Into<String>, dns_ips: Vec<IpAddr>) -> Self {
        Self { zone: zone.into(), dns_ips, pods: PodRecords::Insecure, ttl: 30 }
    }
}

/// A checked configuration with the names made of it.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) config: Config,
    pub(crate) apex: Name,
    labels: Vec<String>,
}

impl Zone {
    /// Checks a configuration.
    ///
    /// # Errors
    /// What is wrong with the zone's name.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut apex = Name::from_ascii(config.zone.trim_end_matches('.')).map_err(|e| e.to_string())?;
        apex.set_fqdn(true);
        if apex.is_root() {
            return Err("the cluster domain is empty".into());
        }
        let labels = labels(&apex);
        Ok(Self { config, apex, labels })
    }

    /// A name of the zone, from its labels.
    pub(crate) fn name(&self, labels: &[&str]) -> Option<Name> {
        let mut all: Vec<&[u8]> = labels.iter().map(|l| l.as_bytes()).collect();
        all.extend(self.labels.iter().map(String::as_bytes));
        let mut name = Name::from_labels(all).ok()?;
        name.set_fqdn(true);
        Some(name)
    }
}

/// A name of ours, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The zone itself.
    Apex,
    /// A name that is there only because others are below it.
    Empty,
    /// `dns-version`.
    Version,
    /// `ns.dns`, the name of the server.
    Server,
    /// `NS.svc` and `NS.pod`.
    Namespace(String),
    /// A service, one of its ports, or one of its endpoints.
    Service { namespace: String, service: String, port: Option<(String, String)>, endpoint: Option<String> },
    /// A pod by its dashed address.
    Pod { namespace: String, address: String },
    /// The name of an address.
    Reverse(IpAddr),
    /// Of the zone, but no name that there can be.
    Unknown,
    /// Of another zone.
    Foreign,
}

/// The labels of a name, in lower case.
fn labels(name: &Name) -> Vec<String> {
    name.iter().map(|l| String::from_utf8_lossy(l).to_ascii_lowercase()).collect()
}

impl Question {
    pub(crate) fn read(name: &Name, zone: &Zone) -> Self {
        let all = labels(name);
        let Some(rest) = all.strip_suffix(zone.labels.as_slice()) else {
            return reverse(name, &all);
        };
        let words: Vec<&str> = rest.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Self::Apex,
            ["dns-version"] => Self::Version,
            ["ns", "dns"] => Self::Server,
            ["svc" | "pod" | "dns"] => Self::Empty,
            [namespace, "svc" | "pod"] => Self::Namespace((*namespace).into()),
            [address, namespace, "pod"] => Self::Pod { namespace: (*namespace).into(), address: (*address).into() },
            [.., service, namespace, "svc"] => Self::service(namespace, service, &words[..words.len() - 3]),
            _ => Self::Unknown,
        }
    }

    fn service(namespace: &str, service: &str, before: &[&str]) -> Self {
        let (port, endpoint) = match before {
            [] => (None, None),
            [endpoint] => (None, Some((*endpoint).to_owned())),
            [port, protocol] => match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
                (Some(port), Some(protocol)) => (Some((port.to_owned(), protocol.to_owned())), None),
                _ => return Self::Unknown,
            },
            _ => return Self::Unknown,
        };
        Self::Service { namespace: namespace.into(), service: service.into(), port, endpoint }
    }
}

fn reverse(name: &Name, labels: &[String]) -> Question {
    let whole = match labels {
        [.., a, b] if b == "arpa" && a == "in-addr" => labels.len() == 6,
        [.., a, b] if b == "arpa" && a == "ip6" => labels.len() == 34,
        _ => false,
    };
    match name.parse_arpa_name().ok().filter(|_| whole) {
        Some(net) => Question::Reverse(net.addr()),
        None => Question::Foreign,
    }
}

/// The address that a dashed name means.
pub(crate) fn dashed(text: &str) -> Option<IpAddr> {
    let v4 = text.matches('-').count() == 3 && !text.contains("--");
    text.replace('-', if v4 { "." } else { ":" }).parse().ok()
}

/// The name that an address has.
pub(crate) fn dash(ip: IpAddr) -> String {
    ip.to_string().replace(['.', ':'], "-")
}
