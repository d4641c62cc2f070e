//! Cluster DNS' hands: sockets at the cluster DNS address on every node, answers from the image as it is at that moment, and
//! everything else from the node's own resolvers (as CoreDNS with `forward . /etc/resolv.conf` and `cache 30`).
//!
//! Laws: a name of the cluster is never asked upstream; what is in flight, cached or connected is bounded; a query that cannot
//! be answered is told so (SERVFAIL), not dropped.

mod cache_table;
mod forward;
mod serve;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use cache::Source;
use dns::Zone;
use ipnet::IpNet;
use net::{NetError, link::Rtnl};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use forward::Upstreams;

/// The device that holds the cluster DNS addresses.
pub const DEVICE: &str = "timonel-dns";
/// The port of DNS.
pub const PORT: u16 = 53;

/// What the DNS loop is told.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// The cluster's zone.
    pub zone: Zone,
    /// Whom to ask for other names.
    pub upstreams: Upstreams,
}

impl DnsConfig {
    /// The zone of a cluster domain, served at `ips`, other names asked as `resolv_conf` says.
    ///
    /// # Errors
    /// What is wrong with the domain.
    pub fn new(domain: &str, ips: Vec<IpAddr>, resolv_conf: PathBuf) -> Result<Self, String> {
        let own = ips.clone();
        Ok(Self { zone: Zone::new(dns::Config::new(domain, ips))?, upstreams: Upstreams::file(resolv_conf, own) })
    }
}

/// Sockets that are bound, not yet served.
#[derive(Debug)]
pub struct DnsSockets {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

impl DnsSockets {
    /// Binds UDP and TCP at each address, in the calling thread's network namespace.
    ///
    /// # Errors
    /// The system's, when an address is taken or not there.
    pub fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for at in addresses {
            udp.push(UdpSocket::bind(at)?);
            tcp.push(TcpListener::bind(at)?);
        }
        for s in &udp {
            s.set_nonblocking(true)?;
        }
        for s in &tcp {
            s.set_nonblocking(true)?;
        }
        Ok(Self { udp, tcp })
    }
}

/// Gives the node the cluster DNS addresses, on a device of their own.
///
/// # Errors
/// The kernel's refusal.
pub fn ensure_addresses(ips: &[IpAddr]) -> Result<(), NetError> {
    let mut rtnl = Rtnl::open()?;
    let link = match rtnl.link(DEVICE)? {
        Some(link) => link,
        None => {
            rtnl.add_holder(DEVICE)?;
            rtnl.link(DEVICE)?.ok_or_else(|| NetError::Config(format!("device {DEVICE} vanished")))?
        }
    };
    let wanted: Vec<IpNet> = ips.iter().map(|ip| IpNet::from(*ip)).collect();
    let present: Vec<IpNet> = rtnl.addresses()?.into_iter().filter(|a| a.index == link.index).map(|a| a.net).collect();
    let link_local = |n: &IpNet| matches!(n.addr(), IpAddr::V6(ip) if ip.is_unicast_link_local());
    for stale in present.iter().filter(|n| !wanted.contains(n) && !link_local(n)) {
        rtnl.delete_address(link.index, *stale)?;
    }
    for net in wanted {
        rtnl.add_address(link.index, net)?;
    }
    Ok(())
}

/// Takes the device away again (uninstall).
///
/// # Errors
/// The kernel's refusal.
pub fn remove_addresses() -> Result<(), NetError> {
    Rtnl::open()?.delete_link(DEVICE)
}

/// The running server.
#[derive(Debug)]
pub struct DnsHandle {
    tasks: JoinSet<()>,
}

impl DnsHandle {
    /// Waits for the end, after `stop` was cancelled.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts to answer at bound sockets.
///
/// # Errors
/// When a socket cannot be handed to the runtime.
pub fn start_dns(config: DnsConfig, sockets: DnsSockets, source: Arc<dyn Source>, stop: CancellationToken) -> io::Result<DnsHandle> {
    let server = Arc::new(serve::Server::new(config, source));
    let mut tasks = JoinSet::new();
    for socket in sockets.udp {
        let (server, stop) = (Arc::clone(&server), stop.clone());
        let socket = Arc::new(tokio::net::UdpSocket::from_std(socket)?);
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = server.datagrams(socket) => {}
            }
        });
    }
    for listener in sockets.tcp {
        let (server, stop) = (Arc::clone(&server), stop.clone());
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = server.connections(listener) => {}
            }
        });
    }
    Ok(DnsHandle { tasks })
}

#[cfg(test)]
mod tests;
