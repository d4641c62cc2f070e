//! Devices: look up, make (bridge, veth, vxlan), change, delete.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{CREATE, Rtnl};
use crate::NetError;
use crate::netlink::{Attrs, Message, Writer, ne_u32, text};

const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_PROTINFO: u16 = 12;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;

/// The longest device name.
const MAX_NAME: usize = libc::IFNAMSIZ - 1;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The hardware address that belongs to an IP address: the same address always has the same one, so that no
    /// neighbour table is ever stale when an address is used again.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => {
                let o = v4.octets();
                Mac([0x0a, 0x58, o[0], o[1], o[2], o[3]])
            }
            IpAddr::V6(v6) => {
                let o = v6.octets();
                Mac([0x0a, 0x59, o[12], o[13], o[14], o[15]])
            }
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A device as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address, where there is one.
    pub mac: Option<Mac>,
    /// Largest packet.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Index of the bridge it is a port of.
    pub master: Option<u32>,
    /// `bridge`, `veth`, `vxlan`; empty for hardware.
    pub kind: String,
}

/// A pair of virtual Ethernet devices: one end here in a bridge, the other inside a namespace.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    /// The name of the end here.
    pub host_name: &'a str,
    /// The bridge that the end here joins.
    pub bridge: u32,
    /// The namespace of the other end.
    pub peer_netns: BorrowedFd<'a>,
    /// The other end's name.
    pub peer_name: &'a str,
    /// The other end's hardware address.
    pub peer_mac: Mac,
    /// The largest packet on both.
    pub mtu: u32,
}

/// An overlay device between nodes (RFC 7348).
#[derive(Debug, Clone)]
pub struct Vxlan<'a> {
    /// Device name.
    pub name: &'a str,
    /// Network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
    /// The underlying device.
    pub underlay: Option<u32>,
    /// The outer source address.
    pub local: IpAddr,
    /// The device's hardware address.
    pub mac: Mac,
    /// The largest packet.
    pub mtu: u32,
}

fn ifinfo(family: u8, index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut b = [0; 16];
    b[0] = family;
    b[4..8].copy_from_slice(&index.to_ne_bytes());
    b[8..12].copy_from_slice(&flags.to_ne_bytes());
    b[12..16].copy_from_slice(&change.to_ne_bytes());
    b
}

const UP: u32 = libc::IFF_UP as u32;

fn read_link(m: Message<'_>) -> Option<Link> {
    if m.kind != libc::RTM_NEWLINK {
        return None;
    }
    let flags = ne_u32(m.payload.get(8..)?)?;
    let mut link = Link {
        index: ne_u32(m.payload.get(4..)?)?,
        name: String::new(),
        mac: None,
        mtu: 0,
        up: flags & UP != 0,
        master: None,
        kind: String::new(),
    };
    for (kind, value) in Attrs(m.payload.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_ADDRESS => link.mac = value.first_chunk().filter(|_| value.len() == 6).map(|m| Mac(*m)),
            IFLA_MTU => link.mtu = ne_u32(value)?,
            IFLA_MASTER => link.master = ne_u32(value),
            IFLA_LINKINFO => link.kind = Attrs::get(value, IFLA_INFO_KIND).map(text).unwrap_or_default(),
            _ => {}
        }
    }
    Some(link)
}

impl Rtnl {
    /// The device of this name.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetError> {
        let found = self.socket.get(
            "look up link",
            libc::RTM_GETLINK,
            |w| {
                w.raw(&ifinfo(0, 0, 0, 0)).str(IFLA_IFNAME, name);
            },
            read_link,
        );
        match found {
            Err(e) if e.errno() == Some(Errno::ENODEV) => Ok(None),
            other => other,
        }
    }

    /// Every device of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetError> {
        self.socket.dump(
            "list links",
            libc::RTM_GETLINK,
            |w| {
                w.raw(&ifinfo(0, 0, 0, 0));
            },
            read_link,
        )
    }

    /// Makes a bridge, up, with a fixed hardware address (otherwise it would follow its ports').
    pub fn add_bridge(&mut self, name: &str, mac: Mac, mtu: u32) -> Result<(), NetError> {
        self.add_device("make bridge", name, Some(mac), Some(mtu), "bridge", |_| {})
    }

    /// Makes a device, up, that does nothing but hold local addresses: a bridge without ports, since pods need bridges anyway
    /// and not every kernel has dummy devices.
    pub fn add_holder(&mut self, name: &str) -> Result<(), NetError> {
        self.add_device("make address holder", name, None, None, "bridge", |_| {})
    }

    /// Makes a vxlan device, up, that learns nothing: its forwarding table is written by `add_forwarding`.
    pub fn add_vxlan(&mut self, v: &Vxlan<'_>) -> Result<(), NetError> {
        self.add_device("make vxlan link", v.name, Some(v.mac), Some(v.mtu), "vxlan", |w| {
            w.u32(IFLA_VXLAN_ID, v.vni);
            if let Some(dev) = v.underlay {
                w.u32(IFLA_VXLAN_LINK, dev);
            }
            match v.local {
                IpAddr::V4(ip) => w.attr(IFLA_VXLAN_LOCAL, &ip.octets()),
                IpAddr::V6(ip) => w.attr(IFLA_VXLAN_LOCAL6, &ip.octets()),
            };
            w.attr(IFLA_VXLAN_LEARNING, &[0]).attr(IFLA_VXLAN_PORT, &v.port.to_be_bytes());
        })
    }

    fn add_device(
        &mut self,
        op: &'static str,
        name: &str,
        mac: Option<Mac>,
        mtu: Option<u32>,
        kind: &str,
        data: impl FnOnce(&mut Writer),
    ) -> Result<(), NetError> {
        check_name(name)?;
        self.socket.request(op, libc::RTM_NEWLINK, CREATE, |w| {
            w.raw(&ifinfo(0, 0, UP, UP)).str(IFLA_IFNAME, name);
            if let Some(mac) = mac {
                w.attr(IFLA_ADDRESS, &mac.0);
            }
            if let Some(mtu) = mtu {
                w.u32(IFLA_MTU, mtu);
            }
            w.nest(IFLA_LINKINFO, |w| {
                w.str(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, data);
            });
        })
    }

    /// Makes a veth pair in one request: this end up and in the bridge, the other inside the namespace, down (the kernel opens
    /// no end before both know each other).
    pub fn add_veth(&mut self, pair: &VethPair<'_>) -> Result<(), NetError> {
        check_name(pair.host_name)?;
        check_name(pair.peer_name)?;
        self.socket.request("make veth pair", libc::RTM_NEWLINK, CREATE, |w| {
            w.raw(&ifinfo(0, 0, UP, UP)).str(IFLA_IFNAME, pair.host_name).u32(IFLA_MTU, pair.mtu).u32(IFLA_MASTER, pair.bridge);
            w.nest(IFLA_LINKINFO, |w| {
                w.str(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |w| {
                    w.nest(VETH_INFO_PEER, |w| {
                        w.raw(&ifinfo(0, 0, 0, 0)).str(IFLA_IFNAME, pair.peer_name).u32(IFLA_MTU, pair.mtu);
                        w.attr(IFLA_ADDRESS, &pair.peer_mac.0);
                        w.u32(IFLA_NET_NS_FD, pair.peer_netns.as_raw_fd() as u32);
                    });
                });
            });
        })
    }

    /// Sets a bridge port's hairpin mode and isolation (isolated ports reach the bridge, not each other).
    pub fn set_port(&mut self, index: u32, hairpin: bool, isolated: bool) -> Result<(), NetError> {
        self.socket.request("set bridge port", libc::RTM_SETLINK, 0, |w| {
            w.raw(&ifinfo(libc::AF_BRIDGE as u8, index, 0, 0)).nest(IFLA_PROTINFO, |w| {
                w.attr(IFLA_BRPORT_MODE, &[hairpin.into()]).attr(IFLA_BRPORT_ISOLATED, &[isolated.into()]);
            });
        })
    }

    /// Brings a device up.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetError> {
        self.socket.request("set link up", libc::RTM_NEWLINK, 0, |w| {
            w.raw(&ifinfo(0, index, UP, UP));
        })
    }

    /// Sets a device's largest packet.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), NetError> {
        self.socket.request("set link mtu", libc::RTM_NEWLINK, 0, |w| {
            w.raw(&ifinfo(0, index, 0, 0)).u32(IFLA_MTU, mtu);
        })
    }

    /// Deletes a device by name; none is success.
    pub fn delete_link(&mut self, name: &str) -> Result<(), NetError> {
        let done = self.socket.request("delete link", libc::RTM_DELLINK, 0, |w| {
            w.raw(&ifinfo(0, 0, 0, 0)).str(IFLA_IFNAME, name);
        });
        match done {
            Err(e) if e.errno() == Some(Errno::ENODEV) => Ok(()),
            other => other,
        }
    }
}

fn check_name(name: &str) -> Result<(), NetError> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(['/', ' ', ':']) {
        return Err(NetError::Config(format!("{name:?} is no device name")));
    }
    Ok(())
}
