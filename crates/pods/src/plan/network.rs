//! Names and name resolution of a pod: hostname, `/etc/hosts`, `resolv.conf`
//! (docs: "DNS for Services and Pods", "Adding entries to Pod /etc/hosts with HostAliases").

use crate::facts::{Facts, HostResolver};
use crate::roster;
use kinds::api::core::v1::Pod;
use std::fmt::Write as _;

const HOSTNAME_MAX: usize = 63;
const FQDN_MAX: usize = 64;
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

/// What a pod is called inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodHostname {
    /// What `hostname` prints.
    pub shown: String,
    /// The short name in `/etc/hosts`.
    pub short: String,
    /// The domain behind it, empty without a subdomain.
    pub domain: String,
}

/// The pod's hostname.
///
/// # Errors
/// An FQDN that Linux cannot hold.
pub fn hostname(pod: &Pod, facts: &Facts) -> Result<PodHostname, String> {
    let spec = roster::spec(pod);
    if let Some(name) = spec.hostname_override.clone().filter(|n| !n.is_empty()) {
        return Ok(PodHostname { shown: name.clone(), short: name, domain: String::new() });
    }
    if spec.host_network == Some(true) {
        let name = facts.hostname.clone();
        return Ok(PodHostname { shown: name.clone(), short: name, domain: String::new() });
    }
    let own = spec.hostname.clone().filter(|h| !h.is_empty());
    let short = own.unwrap_or_else(|| {
        let name = roster::name(pod);
        name[..name.len().min(HOSTNAME_MAX)].trim_end_matches(['-', '.']).to_owned()
    });
    let subdomain = spec.subdomain.clone().filter(|s| !s.is_empty());
    let domain = subdomain.map(|s| format!("{s}.{}.svc.{}", roster::namespace(pod), facts.cluster_domain)).unwrap_or_default();
    let shown = match (spec.set_hostname_as_fqdn == Some(true), domain.is_empty()) {
        (true, false) => format!("{short}.{domain}"),
        _ => short.clone(),
    };
    if shown.len() > FQDN_MAX {
        let n = shown.len();
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {shown} is too long ({FQDN_MAX} characters is the max, {n} characters requested)"
        ));
    }
    Ok(PodHostname { shown, short, domain })
}

/// The managed `/etc/hosts`.
#[must_use]
pub fn hosts(pod: &Pod, facts: &Facts, name: &PodHostname, ips: &[String]) -> String {
    let mut out = if roster::spec(pod).host_network == Some(true) {
        format!("# Kubernetes-managed hosts file (host network).\n{}", facts.host_hosts)
    } else {
        let mut own = String::from(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        for ip in ips {
            if name.domain.is_empty() {
                let _ = writeln!(own, "{ip}\t{}", name.short);
            } else {
                let _ = writeln!(own, "{ip}\t{}.{}\t{}", name.short, name.domain, name.short);
            }
        }
        own
    };
    let mut aliases = roster::spec(pod).host_aliases.iter().flatten().peekable();
    if aliases.peek().is_some() {
        out.push_str("\n# Entries added by HostAliases.\n");
        for a in aliases {
            let _ = writeln!(out, "{}\t{}", a.ip, a.hostnames.as_deref().unwrap_or_default().join("\t"));
        }
    }
    out
}

fn push_new(list: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for m in more {
        if !list.contains(&m) {
            list.push(m);
        }
    }
}

fn option_name(o: &str) -> &str {
    o.split(':').next().unwrap_or(o)
}

/// What resolves names in the pod.
#[must_use]
pub fn resolver(pod: &Pod, facts: &Facts) -> HostResolver {
    let spec = roster::spec(pod);
    let cluster = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => None,
        "Default" => Some(false),
        "ClusterFirst" => Some(spec.host_network != Some(true)),
        _ => Some(true),
    };
    let mut r = match cluster {
        None => HostResolver::default(),
        Some(true) if !facts.cluster_dns.is_empty() => {
            let (ns, domain) = (roster::namespace(pod), &facts.cluster_domain);
            let mut searches = vec![format!("{ns}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            push_new(&mut searches, facts.resolver.searches.clone());
            HostResolver {
                nameservers: facts.cluster_dns.iter().map(ToString::to_string).collect(),
                searches,
                options: vec!["ndots:5".to_owned()],
            }
        }
        Some(_) => facts.resolver.clone(),
    };
    if let Some(c) = &spec.dns_config {
        push_new(&mut r.nameservers, c.nameservers.iter().flatten().cloned());
        push_new(&mut r.searches, c.searches.iter().flatten().cloned());
        for o in c.options.iter().flatten() {
            let name = o.name.clone().unwrap_or_default();
            r.options.retain(|have| option_name(have) != name);
            r.options.push(match o.value.as_deref().filter(|v| !v.is_empty()) {
                Some(v) => format!("{name}:{v}"),
                None => name,
            });
        }
    }
    r.nameservers.truncate(NAMESERVERS_MAX);
    r.searches.truncate(SEARCHES_MAX);
    while r.searches.join(" ").len() > SEARCH_CHARS_MAX {
        r.searches.pop();
    }
    r
}

/// The pod's `/etc/resolv.conf`.
#[must_use]
pub fn resolv_conf(pod: &Pod, facts: &Facts) -> String {
    let r = resolver(pod, facts);
    let mut out = String::new();
    if !r.searches.is_empty() {
        let _ = writeln!(out, "search {}", r.searches.join(" "));
    }
    for n in &r.nameservers {
        let _ = writeln!(out, "nameserver {n}");
    }
    if !r.options.is_empty() {
        let _ = writeln!(out, "options {}", r.options.join(" "));
    }
    out
}
