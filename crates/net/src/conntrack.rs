//! Connection tracking by netlink (nf_conntrack_netlink): looking at flows and forgetting some. UDP has no close: a flow to an
//! endpoint that is gone lives on as long as the client keeps sending, so the entry has to go when the endpoint does.

use std::net::IpAddr;

use nix::errno::Errno;

use crate::NetError;
use crate::netlink::{Attrs, Message, Protocol, Socket, be_u16};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ZONE: u16 = 18;
const CTA_ID: u16 = 12;

/// One end-to-end direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Transport protocol number.
    pub proto: u8,
    /// Source port, for protocols that have ports.
    pub src_port: u16,
    /// Destination port, for protocols that have ports.
    pub dst_port: u16,
}

/// A tracked flow: as the client sees it, and as the answers come. `reply.src` is the server after translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// As sent.
    pub original: Tuple,
    /// As answered.
    pub reply: Tuple,
    raw_original: Vec<u8>,
    raw_id: Vec<u8>,
    raw_zone: Option<Vec<u8>>,
}

/// The flows that a predicate accepts, in the calling thread's network namespace.
pub fn flows(want: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>, NetError> {
    list(&mut Socket::open(Protocol::Netfilter)?, want)
}

/// Forgets the flows that a predicate accepts and returns how many there were.
pub fn delete(want: impl Fn(&Flow) -> bool) -> Result<usize, NetError> {
    let mut socket = Socket::open(Protocol::Netfilter)?;
    socket.raise_buffers(0);
    let doomed = list(&mut socket, want)?;
    for flow in &doomed {
        let family = if flow.original.src.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
        let done = socket.request("delete conntrack entry", DELETE, 0, |w| {
            w.raw(&[family, 0, 0, 0]).nested_bytes(CTA_TUPLE_ORIG, &flow.raw_original).attr(CTA_ID, &flow.raw_id);
            if let Some(zone) = &flow.raw_zone {
                w.attr(CTA_ZONE, zone);
            }
        });
        match done {
            // It ended by itself meanwhile.
            Err(e) if e.errno() == Some(Errno::ENOENT) => {}
            other => other?,
        }
    }
    Ok(doomed.len())
}

fn list(socket: &mut Socket, want: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>, NetError> {
    socket.dump(
        "list conntrack entries",
        GET,
        |w| {
            w.raw(&[libc::AF_UNSPEC as u8, 0, 0, 0]);
        },
        |m| read_flow(m).filter(&want),
    )
}

fn read_flow(m: Message<'_>) -> Option<Flow> {
    let attrs = m.payload.get(4..)?;
    let raw_original = Attrs::get(attrs, CTA_TUPLE_ORIG)?;
    Some(Flow {
        original: read_tuple(raw_original)?,
        reply: read_tuple(Attrs::get(attrs, CTA_TUPLE_REPLY)?)?,
        raw_original: raw_original.to_vec(),
        raw_id: Attrs::get(attrs, CTA_ID)?.to_vec(),
        raw_zone: Attrs::get(attrs, CTA_ZONE).map(<[u8]>::to_vec),
    })
}

fn read_tuple(t: &[u8]) -> Option<Tuple> {
    let (ip, proto) = (Attrs::get(t, 1)?, Attrs::get(t, 2)?);
    let v4 = |kind| Attrs::get(ip, kind).and_then(|b| b.first_chunk::<4>()).map(|b| IpAddr::from(*b));
    let v6 = |kind| Attrs::get(ip, kind).and_then(|b| b.first_chunk::<16>()).map(|b| IpAddr::from(*b));
    let port = |kind| Attrs::get(proto, kind).and_then(be_u16).unwrap_or(0);
    Some(Tuple {
        src: v4(1).or_else(|| v6(3))?,
        dst: v4(2).or_else(|| v6(4))?,
        proto: *Attrs::get(proto, 1)?.first()?,
        src_port: port(2),
        dst_port: port(3),
    })
}
