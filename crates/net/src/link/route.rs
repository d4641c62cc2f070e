//! Routes, neighbours and vxlan forwarding entries.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;

use super::address::{family, ip_of, octets};
use super::{CREATE_OR_REPLACE, Mac, Rtnl};
use crate::NetError;
use crate::netlink::{Attrs, Message, ne_u32};

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
/// Who wrote the route: `static`, as an administrator's tool would.
const RTPROT_STATIC: u8 = 4;
const RTNH_F_ONLINK: u32 = 4;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;

/// A unicast route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub dst: IpNet,
    /// Through whom; `None`: directly reachable.
    pub via: Option<IpAddr>,
    /// Through which device.
    pub index: u32,
    /// The source address that local senders get.
    pub src: Option<IpAddr>,
    /// The next hop counts as reachable though no address of the device covers it.
    pub onlink: bool,
}

fn rtmsg(r: &Route) -> [u8; 12] {
    let mut b = [0; 12];
    b[0] = family(r.dst.addr());
    b[1] = r.dst.prefix_len();
    b[4] = RT_TABLE_MAIN;
    b[5] = RTPROT_STATIC;
    b[6] = if r.via.is_none() && r.dst.addr().is_ipv4() { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
    b[7] = RTN_UNICAST;
    let flags = if r.onlink { RTNH_F_ONLINK } else { 0 };
    b[8..12].copy_from_slice(&flags.to_ne_bytes());
    b
}

fn ndmsg(family: u8, index: u32, state: u16, flags: u8) -> [u8; 12] {
    let mut b = [0; 12];
    b[0] = family;
    b[4..8].copy_from_slice(&index.to_ne_bytes());
    b[8..10].copy_from_slice(&state.to_ne_bytes());
    b[10] = flags;
    b
}

fn read_route(m: Message<'_>) -> Option<Route> {
    let p = m.payload;
    if m.kind != libc::RTM_NEWROUTE || *p.get(4)? != RT_TABLE_MAIN || *p.get(7)? != RTN_UNICAST {
        return None;
    }
    let attrs = p.get(12..)?;
    let any: IpAddr = if p[0] == libc::AF_INET as u8 { IpAddr::from([0u8; 4]) } else { IpAddr::from([0u8; 16]) };
    let dst = Attrs::get(attrs, RTA_DST).and_then(ip_of).unwrap_or(any);
    Some(Route {
        dst: IpNet::new(dst, p[1]).ok()?,
        via: Attrs::get(attrs, RTA_GATEWAY).and_then(ip_of),
        index: Attrs::get(attrs, RTA_OIF).and_then(ne_u32)?,
        src: Attrs::get(attrs, RTA_PREFSRC).and_then(ip_of),
        onlink: ne_u32(&p[8..])? & RTNH_F_ONLINK != 0,
    })
}

impl Rtnl {
    /// Writes a route, over the one to the same destination if there is one.
    pub fn set_route(&mut self, r: &Route) -> Result<(), NetError> {
        self.socket.request("set route", libc::RTM_NEWROUTE, CREATE_OR_REPLACE, |w| {
            w.raw(&rtmsg(r));
            if r.dst.prefix_len() > 0 {
                w.attr(RTA_DST, &octets(r.dst.addr()));
            }
            if let Some(via) = r.via {
                w.attr(RTA_GATEWAY, &octets(via));
            }
            if let Some(src) = r.src {
                w.attr(RTA_PREFSRC, &octets(src));
            }
            w.u32(RTA_OIF, r.index);
        })
    }

    /// Deletes the route to a destination through a device; none is success.
    pub fn delete_route(&mut self, r: &Route) -> Result<(), NetError> {
        let done = self.socket.request("delete route", libc::RTM_DELROUTE, 0, |w| {
            w.raw(&rtmsg(r));
            if r.dst.prefix_len() > 0 {
                w.attr(RTA_DST, &octets(r.dst.addr()));
            }
            w.u32(RTA_OIF, r.index);
        });
        match done {
            Err(e) if e.errno() == Some(Errno::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// The unicast routes of the main table, of one family.
    pub fn routes(&mut self, v6: bool) -> Result<Vec<Route>, NetError> {
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
        self.socket.dump(
            "list routes",
            libc::RTM_GETROUTE,
            |w| {
                w.raw(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            },
            read_route,
        )
    }

    /// Fixes the hardware address of a neighbour.
    pub fn set_neighbour(&mut self, index: u32, ip: IpAddr, mac: Mac) -> Result<(), NetError> {
        self.socket.request("set neighbour", libc::RTM_NEWNEIGH, CREATE_OR_REPLACE, |w| {
            w.raw(&ndmsg(family(ip), index, NUD_PERMANENT, 0)).attr(NDA_DST, &octets(ip)).attr(NDA_LLADDR, &mac.0);
        })
    }

    /// Tells a vxlan device behind which node a hardware address lives.
    pub fn set_forwarding(&mut self, index: u32, mac: Mac, node: IpAddr) -> Result<(), NetError> {
        self.socket.request("set forwarding entry", libc::RTM_NEWNEIGH, CREATE_OR_REPLACE, |w| {
            w.raw(&ndmsg(libc::AF_BRIDGE as u8, index, NUD_PERMANENT, NTF_SELF))
                .attr(NDA_DST, &octets(node))
                .attr(NDA_LLADDR, &mac.0);
        })
    }

    /// Forgets a vxlan forwarding entry; none is success.
    pub fn delete_forwarding(&mut self, index: u32, mac: Mac, node: IpAddr) -> Result<(), NetError> {
        let done = self.socket.request("delete forwarding entry", libc::RTM_DELNEIGH, 0, |w| {
            w.raw(&ndmsg(libc::AF_BRIDGE as u8, index, 0, NTF_SELF)).attr(NDA_DST, &octets(node)).attr(NDA_LLADDR, &mac.0);
        });
        match done {
            Err(e) if e.errno() == Some(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }
}
