//! Addresses on devices.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use super::{CREATE_OR_REPLACE, Rtnl};
use crate::NetError;
use crate::netlink::{Attrs, Message, ne_u32};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: addresses are handed out by ourselves, and a tentative address answers nobody.
const IFA_F_NODAD: u32 = 0x02;

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfAddress {
    /// The device.
    pub index: u32,
    /// The address and its prefix.
    pub net: IpNet,
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

pub(super) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(super) fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|b| IpAddr::from(*b)),
        16 => bytes.first_chunk::<16>().map(|b| IpAddr::from(*b)),
        _ => None,
    }
}

fn ifaddr(net: IpNet, index: u32) -> [u8; 8] {
    let mut b = [family(net.addr()), net.prefix_len(), 0, 0, 0, 0, 0, 0];
    b[4..8].copy_from_slice(&index.to_ne_bytes());
    b
}

fn read_address(m: Message<'_>) -> Option<IfAddress> {
    if m.kind != libc::RTM_NEWADDR {
        return None;
    }
    let prefix = *m.payload.get(1)?;
    let index = ne_u32(m.payload.get(4..)?)?;
    let attrs = m.payload.get(8..)?;
    let bytes = Attrs::get(attrs, IFA_LOCAL).or_else(|| Attrs::get(attrs, IFA_ADDRESS))?;
    Some(IfAddress { index, net: IpNet::new(ip_of(bytes)?, prefix).ok()? })
}

impl Rtnl {
    /// Gives a device an address; having it already is success.
    pub fn add_address(&mut self, index: u32, net: IpNet) -> Result<(), NetError> {
        self.socket.request("add address", libc::RTM_NEWADDR, CREATE_OR_REPLACE, |w| {
            let ip = octets(net.addr());
            w.raw(&ifaddr(net, index)).attr(IFA_LOCAL, &ip).attr(IFA_ADDRESS, &ip).u32(IFA_FLAGS, IFA_F_NODAD);
        })
    }

    /// Takes an address from a device; not having it is success.
    pub fn delete_address(&mut self, index: u32, net: IpNet) -> Result<(), NetError> {
        let done = self.socket.request("delete address", libc::RTM_DELADDR, 0, |w| {
            w.raw(&ifaddr(net, index)).attr(IFA_LOCAL, &octets(net.addr()));
        });
        match done {
            Err(e) if matches!(e.errno(), Some(Errno::EADDRNOTAVAIL | Errno::ENODEV)) => Ok(()),
            other => other,
        }
    }

    /// Every address of the namespace.
    pub fn addresses(&mut self) -> Result<Vec<IfAddress>, NetError> {
        self.socket.dump(
            "list addresses",
            libc::RTM_GETADDR,
            |w| {
                w.raw(&[0; 8]);
            },
            read_address,
        )
    }
}
