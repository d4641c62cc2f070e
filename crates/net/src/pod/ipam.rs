//! Which pod has which address. A lease is a file named as the address, written whole or not at all; its first line is the owner,
//! the others its host ports. Addresses are given out in turn, and one that was given back rests before it is used again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::parking::Locked;
use super::{HostPort, Transport, gateway_of};
use crate::NetError;

/// So long an address rests after its release, while others are free.
const REUSE_DELAY: Duration = Duration::from_secs(10);
/// The file that names the last address given out, so that a restart goes on after it.
const CURSOR_PREFIX: &str = "last.";
const TEMPORARY_PREFIX: &str = "new.";

/// A lease: who has an address, and which host ports lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The pod sandbox's id.
    pub owner: String,
    /// The address.
    pub ip: IpAddr,
    /// The node's ports that lead there.
    pub host_ports: Vec<HostPort>,
}

#[derive(Debug, Default)]
struct State {
    leases: BTreeMap<IpAddr, Lease>,
    owners: BTreeMap<String, BTreeSet<IpAddr>>,
    resting: VecDeque<(Instant, IpAddr)>,
    last: BTreeMap<IpNet, IpAddr>,
}

/// The address book of one node.
#[derive(Debug)]
pub struct Ipam {
    dir: PathBuf,
    cidrs: Vec<IpNet>,
    state: Locked<State>,
}

impl Ipam {
    /// Opens the address book in `dir`, with the leases that are there. Leases outside the ranges stay until released.
    pub fn open(dir: &Path, cidrs: &[IpNet]) -> Result<Self, NetError> {
        fs::create_dir_all(dir).map_err(|e| NetError::file("create directory", dir, e))?;
        let cidrs: Vec<IpNet> = cidrs.iter().map(IpNet::trunc).collect();
        let mut state = State::default();
        for entry in fs::read_dir(dir).map_err(|e| NetError::file("list", dir, e))? {
            let path = entry.map_err(|e| NetError::file("list", dir, e))?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            if name.starts_with(TEMPORARY_PREFIX) {
                // Left by a crash between writing and naming.
                let _ = fs::remove_file(&path);
            } else if let Some(family) = name.strip_prefix(CURSOR_PREFIX) {
                let last = fs::read_to_string(&path).ok().and_then(|t| t.trim().parse::<IpAddr>().ok());
                let cidr = cidrs.iter().find(|c| family_name(**c) == family);
                if let (Some(last), Some(cidr)) = (last, cidr) {
                    state.last.insert(*cidr, last);
                }
            } else if let Ok(ip) = name.parse::<IpAddr>() {
                let text = fs::read_to_string(&path).map_err(|e| NetError::file("read", &path, e))?;
                state.insert(parse_lease(ip, &text));
            }
        }
        Ok(Self { dir: dir.to_owned(), cidrs, state: Locked::new(state) })
    }

    /// The owner's addresses, one a range: those it has, and new ones where it has none.
    pub fn allocate(&self, owner: &str, host_ports: &[HostPort]) -> Result<Vec<IpAddr>, NetError> {
        let mut state = self.state.lock();
        let mut out = Vec::with_capacity(self.cidrs.len());
        for cidr in &self.cidrs {
            let held = state.owners.get(owner).and_then(|ips| ips.iter().find(|ip| cidr.contains(*ip)).copied());
            let ip = match held {
                Some(ip) => ip,
                None => state.next_free(*cidr, Instant::now()).ok_or(NetError::Exhausted(*cidr))?,
            };
            let lease = Lease { owner: owner.to_owned(), ip, host_ports: host_ports.to_vec() };
            if state.leases.get(&ip) != Some(&lease) {
                self.write(&ip.to_string(), &print_lease(&lease))?;
                state.insert(lease);
            }
            if held.is_none() {
                self.write(&format!("{CURSOR_PREFIX}{}", family_name(*cidr)), &ip.to_string())?;
                state.last.insert(*cidr, ip);
            }
            out.push(ip);
        }
        Ok(out)
    }

    /// Takes one address for an owner (to adopt a pod that already has it).
    pub fn claim(&self, owner: &str, ip: IpAddr) -> Result<(), NetError> {
        let mut state = self.state.lock();
        if let Some(lease) = state.leases.get(&ip) {
            return if lease.owner == owner { Ok(()) } else { Err(NetError::AddressInUse(ip, lease.owner.clone())) };
        }
        let lease = Lease { owner: owner.to_owned(), ip, host_ports: Vec::new() };
        self.write(&ip.to_string(), &print_lease(&lease))?;
        state.insert(lease);
        Ok(())
    }

    /// Gives an owner's addresses back and returns the leases that ended.
    pub fn release(&self, owner: &str) -> Result<Vec<Lease>, NetError> {
        let mut state = self.state.lock();
        let ips = state.owners.get(owner).cloned().unwrap_or_default();
        let mut ended = Vec::new();
        for ip in ips {
            let path = self.dir.join(ip.to_string());
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(NetError::file("remove", path, e)),
                _ => {}
            }
            ended.extend(state.remove(ip, Instant::now()));
        }
        Ok(ended)
    }

    /// Releases the leases of owners that do not live any more and returns them.
    pub fn audit(&self, live: &BTreeSet<String>) -> Result<Vec<Lease>, NetError> {
        let dead: Vec<String> = self.state.lock().owners.keys().filter(|o| !live.contains(*o)).cloned().collect();
        let mut ended = Vec::new();
        for owner in dead {
            ended.extend(self.release(&owner)?);
        }
        Ok(ended)
    }

    /// All leases, by address.
    pub fn leases(&self) -> Vec<Lease> {
        self.state.lock().leases.values().cloned().collect()
    }

    /// The addresses of an owner.
    pub fn addresses_of(&self, owner: &str) -> Vec<IpAddr> {
        self.state.lock().owners.get(owner).map(|ips| ips.iter().copied().collect()).unwrap_or_default()
    }

    /// A file appears with its whole content or not at all.
    fn write(&self, name: &str, text: &str) -> Result<(), NetError> {
        let (path, temporary) = (self.dir.join(name), self.dir.join(format!("{TEMPORARY_PREFIX}{name}")));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|e| NetError::file("write", path, e))
    }
}

impl State {
    fn insert(&mut self, lease: Lease) {
        self.owners.entry(lease.owner.clone()).or_default().insert(lease.ip);
        self.leases.insert(lease.ip, lease);
    }

    fn remove(&mut self, ip: IpAddr, now: Instant) -> Option<Lease> {
        let lease = self.leases.remove(&ip)?;
        if let Some(ips) = self.owners.get_mut(&lease.owner) {
            ips.remove(&ip);
            if ips.is_empty() {
                self.owners.remove(&lease.owner);
            }
        }
        self.resting.push_back((now, ip));
        Some(lease)
    }

    /// The next free address after the last one given out; one that still rests only when there is no other.
    fn next_free(&mut self, cidr: IpNet, now: Instant) -> Option<IpAddr> {
        while self.resting.front().is_some_and(|(since, _)| now.duration_since(*since) >= REUSE_DELAY) {
            self.resting.pop_front();
        }
        let gateway = gateway_of(cidr)?;
        let size = host_count(cidr);
        let start = self.last.get(&cidr).filter(|l| cidr.contains(*l)).map_or(0, |l| offset(cidr, *l));
        let free = |ip: &IpAddr| *ip != gateway && !self.leases.contains_key(ip);
        let resting: BTreeSet<IpAddr> = self.resting.iter().map(|(_, ip)| *ip).collect();
        let turn = || (1..=size).map(|i| (start + i - 1) % size + 1).map(|i| at(cidr, i));
        if let Some(ip) = turn().find(|ip| free(ip) && !resting.contains(ip)) {
            return Some(ip);
        }
        let (_, oldest) = *self.resting.iter().find(|(_, ip)| cidr.contains(ip) && free(ip))?;
        self.resting.retain(|(_, ip)| *ip != oldest);
        Some(oldest)
    }
}

/// How many addresses of a range can be given out, the gateway included; at most 2^16 are ever looked at.
fn host_count(cidr: IpNet) -> u32 {
    let bits = u32::from(cidr.max_prefix_len() - cidr.prefix_len()).min(16);
    // Neither the network's own address nor the broadcast address.
    (1u32 << bits).saturating_sub(2).max(1)
}

fn at(cidr: IpNet, offset: u32) -> IpAddr {
    match cidr.network() {
        IpAddr::V4(n) => IpAddr::from((u32::from(n) + offset).to_be_bytes()),
        IpAddr::V6(n) => IpAddr::from((u128::from(n) + u128::from(offset)).to_be_bytes()),
    }
}

fn offset(cidr: IpNet, ip: IpAddr) -> u32 {
    match (cidr.network(), ip) {
        (IpAddr::V4(n), IpAddr::V4(ip)) => u32::from(ip) - u32::from(n),
        (IpAddr::V6(n), IpAddr::V6(ip)) => (u128::from(ip) - u128::from(n)) as u32,
        _ => 0,
    }
}

fn family_name(cidr: IpNet) -> &'static str {
    if cidr.addr().is_ipv4() { "v4" } else { "v6" }
}

fn print_lease(lease: &Lease) -> String {
    let mut out = format!("{}\n", lease.owner);
    for p in &lease.host_ports {
        let host_ip = p.host_ip.map_or("*".to_owned(), |ip| ip.to_string());
        out.push_str(&format!("{} {host_ip} {} {}\n", p.transport.number(), p.host_port, p.pod_port));
    }
    out
}

fn parse_lease(ip: IpAddr, text: &str) -> Lease {
    let mut lines = text.lines();
    let owner = lines.next().unwrap_or_default().to_owned();
    let host_ports = lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let transport = Transport::of(words.next()?.parse().ok()?)?;
            let host_ip = match words.next()? {
                "*" => None,
                ip => Some(ip.parse().ok()?),
            };
            Some(HostPort { host_ip, host_port: words.next()?.parse().ok()?, pod_port: words.next()?.parse().ok()?, transport })
        })
        .collect();
    Lease { owner, ip, host_ports }
}
