//! Where to call: from a webhook's `clientConfig` or an APIService's `service` to a URL, an address to dial, and the name
//! that the certificate must carry. A service is reached as its cluster IP would be: at one of its ready endpoints.

use super::trust::{Identity, Trust};
use cache::Snapshot;
use http::HeaderMap;
use kinds::api::core::v1::Service;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use url::Url;

/// The port of a service that names none.
pub const PORT: i32 = 443;

/// Where to call.
#[derive(Clone, Debug)]
pub struct Place {
    pub url: Url,
    /// The URL as errors name it, its port included even where it is the usual one.
    pub shown: String,
    /// Dialled instead of the URL's host; the error of dialling where nothing can be dialled.
    pub dial: Result<Vec<(String, u16)>, String>,
    /// The name that the server's certificate must carry.
    pub server_name: String,
    pub trust: Trust,
    pub identity: Option<Arc<Identity>>,
    /// Sent with every call: a bearer token of a kubeconfig, who asks.
    pub headers: HeaderMap,
}

impl Place {
    /// The place of a URL.
    ///
    /// # Errors
    /// What is no `https` URL with a host.
    pub fn of_url(text: &str, bundle: &[u8]) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| format!("Unparsable webhook URL: {e}"))?;
        if url.scheme() != "https" {
            return Err("attempt to configure a webhook with an insecure URL".to_owned());
        }
        let host = url.host_str().ok_or("a URL without a host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let (trust, server_name) = (Trust::Bundle(bundle.to_vec()), host.clone());
        let (dial, shown) = (Ok(vec![(host, port)]), text.to_owned());
        Ok(Self { url, shown, dial, server_name, trust, identity: None, headers: HeaderMap::new() })
    }

    /// The place of a service.
    ///
    /// # Errors
    /// Names and paths that make no URL.
    pub fn of_service(
        snapshot: &Snapshot,
        (namespace, name, port): (&str, &str, i32),
        path: &str,
        bundle: &[u8],
    ) -> Result<Self, String> {
        let server_name = format!("{name}.{namespace}.svc");
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        let shown = format!("https://{server_name}:{port}{slash}{path}");
        let url = Url::parse(&shown).map_err(|e| e.to_string())?;
        let dial = addresses(snapshot, namespace, name, port);
        let trust = Trust::Bundle(bundle.to_vec());
        Ok(Self { url, shown, dial, server_name, trust, identity: None, headers: HeaderMap::new() })
    }

    /// Adds a member to the query.
    pub fn ask(&mut self, key: &str, value: &str) {
        self.url.query_pairs_mut().append_pair(key, value);
        let mark = if self.shown.contains('?') { '&' } else { '?' };
        self.shown.push_str(&format!("{mark}{key}={value}"));
    }
}

/// The ready endpoints behind a service's port, another one first each time.
///
/// # Errors
/// Why there is none, as dialling the cluster IP would have said it.
pub fn addresses(snapshot: &Snapshot, namespace: &str, name: &str, port: i32) -> Result<Vec<(String, u16)>, String> {
    let service = snapshot.get::<Service>(namespace, name).ok_or_else(|| format!("service {name:?} not found"))?;
    let spec = service.spec.clone().unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        let host = spec.external_name.unwrap_or_default();
        return Ok(vec![(host, number(port)?)]);
    }
    let found = spec.ports.iter().flatten().find(|p| p.port == port);
    let found = found.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let mut all = members(snapshot, namespace, name, found.port);
    if spec.selector.is_none() && all.is_empty() {
        // Nobody told of endpoints: what the cluster IP would lead to is not known here.
        all.extend(spec.external_ips.iter().flatten().filter_map(|ip| Some((ip.clone(), number(port).ok()?))));
    }
    if all.is_empty() {
        let ip = spec.cluster_ip.unwrap_or_default();
        return Err(format!("dial tcp {}: connect: connection refused", join(&ip, port)));
    }
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % all.len();
    all.rotate_left(turn);
    Ok(all)
}

/// Counts calls, so that endpoints take turns.
static TURN: AtomicUsize = AtomicUsize::new(0);

fn number(port: i32) -> Result<u16, String> {
    u16::try_from(port).map_err(|_| format!("invalid port {port}"))
}

/// `host:port`, with brackets where they are needed.
pub(crate) fn join(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The ready endpoints behind a service's port, in order.
pub(crate) fn members(snapshot: &Snapshot, namespace: &str, name: &str, port: i32) -> Vec<(String, u16)> {
    let spec = snapshot.get::<Service>(namespace, name).and_then(|s| s.spec.as_ref());
    let port = spec.into_iter().flat_map(|s| s.ports.iter().flatten()).find(|p| p.port == port);
    let Some(port) = port else { return Vec::new() };
    let (wanted, mut all) = (port.name.as_deref().unwrap_or_default(), Vec::new());
    for slice in snapshot.slices_of(namespace, name) {
        let named = slice.ports.iter().flatten().find(|p| p.name.as_deref().unwrap_or_default() == wanted);
        let Some(at) = named.and_then(|p| p.port).and_then(|p| u16::try_from(p).ok()) else { continue };
        for e in slice.endpoints.iter().flatten() {
            if e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true) {
                all.extend(e.addresses.iter().map(|a| (a.clone(), at)));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}
