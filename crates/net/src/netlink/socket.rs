//! A blocking netlink socket: requests with an acknowledgement, dumps, and nfnetlink batches. It belongs to the network
//! namespace of the thread that opened it, for ever.

#![allow(unsafe_code)] // three netlink socket options that nix has no name for

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::attr::{Attrs, Message, Messages, Writer, ne_u32, text};
use crate::NetError;

/// Send and receive buffers: a transaction is one datagram, and its errors come one a message.
const BUFFER_BYTES: usize = 16 << 20;
/// The largest datagram that the kernel sends in a dump.
const RECEIVE_BYTES: usize = 64 << 10;
/// The kernel answers at once or not at all.
const ANSWER_TIMEOUT_S: i64 = 10;
/// Dumps that were interrupted by a change are repeated so often.
const DUMP_TRIES: usize = 5;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_DUMP_INTR: u16 = 0x10;

/// The kernel subsystem that a socket talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes, neighbours.
    Route,
    /// nftables and connection tracking.
    Netfilter,
}

/// A netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
    buf: Vec<u8>,
}

/// What one message of an answer means for the waiting request.
enum Answer {
    Data,
    Done,
    Failed(Errno, Option<String>),
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, NetError> {
        let protocol = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(|e| NetError::system("open a netlink socket", e))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(|e| NetError::system("bind a netlink socket", e))?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_TIMEOUT_S))
            .map_err(|e| NetError::system("set the netlink timeout", e))?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            // Older kernels lack some of these; everything works without them, with plainer errors.
            let _ = set_netlink_option(&fd, option);
        }
        Ok(Self { fd, seq: 0, buf: vec![0; RECEIVE_BYTES] })
    }

    /// Raises both buffers beyond the system's limits, at least so that a datagram of `bytes` fits (needs CAP_NET_ADMIN; without
    /// it the defaults stay).
    pub fn raise_buffers(&self, bytes: usize) {
        let _ = setsockopt(&self.fd, sockopt::SndBufForce, &BUFFER_BYTES.max(bytes));
        let _ = setsockopt(&self.fd, sockopt::RcvBufForce, &BUFFER_BYTES);
    }

    /// The next sequence number.
    pub fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    /// Sends one request and waits for its acknowledgement.
    pub fn request(&mut self, op: &'static str, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) -> Result<(), NetError> {
        self.exchange(op, kind, flags | libc::NLM_F_ACK as u16, fill, |_| {})
    }

    /// Sends one request whose answer is data, then an acknowledgement.
    pub fn get<T>(
        &mut self,
        op: &'static str,
        kind: u16,
        fill: impl FnOnce(&mut Writer),
        mut read: impl FnMut(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NetError> {
        let mut found = None;
        self.exchange(op, kind, libc::NLM_F_ACK as u16, fill, |m| {
            if let Some(value) = read(m) {
                found = Some(value);
            }
        })?;
        Ok(found)
    }

    /// Lists everything that a dump request returns, again when a change cut it short.
    pub fn dump<T>(
        &mut self,
        op: &'static str,
        kind: u16,
        fill: impl Fn(&mut Writer),
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetError> {
        let mut out = Vec::new();
        for _ in 0..DUMP_TRIES {
            let mut interrupted = false;
            out.clear();
            self.exchange(op, kind, libc::NLM_F_DUMP as u16, &fill, |m| {
                interrupted |= m.flags & NLM_F_DUMP_INTR != 0;
                out.extend(read(m));
            })?;
            if !interrupted {
                break;
            }
        }
        Ok(out)
    }

    fn exchange(
        &mut self,
        op: &'static str,
        kind: u16,
        flags: u16,
        fill: impl FnOnce(&mut Writer),
        mut on_data: impl FnMut(Message<'_>),
    ) -> Result<(), NetError> {
        let seq = self.next_seq();
        let mut w = Writer::new();
        w.message(kind, flags | libc::NLM_F_REQUEST as u16, seq);
        fill(&mut w);
        w.finish();
        self.send(op, w.bytes())?;
        loop {
            let n = self.receive(op)?;
            for m in Messages(&self.buf[..n]).filter(|m| m.seq == seq) {
                match classify(op, &m)? {
                    Answer::Data => on_data(m),
                    Answer::Done => return Ok(()),
                    Answer::Failed(errno, detail) => return Err(NetError::Netlink { op, errno, detail }),
                }
            }
        }
    }

    /// Sends one datagram of many messages. Answers, if any, are read with `batch_answer`.
    pub fn send(&mut self, op: &'static str, bytes: &[u8]) -> Result<(), NetError> {
        sendto(self.fd.as_raw_fd(), bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())
            .map_err(|errno| NetError::Netlink { op, errno, detail: None })?;
        Ok(())
    }

    /// Reads the answers of a batch whose last message (`last`) alone asked for an acknowledgement: the first error of any
    /// message from `first` on, with that message's sequence number, or none.
    pub fn batch_answer(&mut self, op: &'static str, first: u32, last: u32) -> Result<Option<(u32, NetError)>, NetError> {
        let mut failed = None;
        loop {
            let n = match self.receive(op) {
                Ok(n) => n,
                // All is refused and the last acknowledgement does not come after a fatal error: what is known is enough.
                Err(e) => return failed.map_or(Err(e), |f| Ok(Some(f))),
            };
            for m in Messages(&self.buf[..n]).filter(|m| m.seq >= first && m.seq <= last) {
                if let Answer::Failed(errno, detail) = classify(op, &m)? {
                    failed.get_or_insert((m.seq, NetError::Netlink { op, errno, detail }));
                }
                if m.seq == last {
                    return Ok(failed);
                }
            }
            if failed.is_some() {
                return Ok(failed);
            }
        }
    }

    /// Throws away answers that nobody waits for any more.
    pub fn drain(&mut self) {
        while recv(self.fd.as_raw_fd(), &mut self.buf, MsgFlags::MSG_DONTWAIT).is_ok() {}
    }

    fn receive(&mut self, op: &'static str) -> Result<usize, NetError> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buf, MsgFlags::MSG_TRUNC) {
                Ok(n) if n > self.buf.len() => return Err(NetError::Malformed(op)),
                Ok(n) => return Ok(n),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(NetError::Netlink { op, errno, detail: None }),
            }
        }
    }
}

fn classify(op: &'static str, m: &Message<'_>) -> Result<Answer, NetError> {
    if m.kind == libc::NLMSG_DONE as u16 {
        return Ok(match ne_u32(m.payload).map(|v| v as i32) {
            Some(code) if code < 0 => Answer::Failed(Errno::from_raw(-code), None),
            _ => Answer::Done,
        });
    }
    if m.kind != libc::NLMSG_ERROR as u16 {
        return Ok(Answer::Data);
    }
    let code = ne_u32(m.payload).ok_or(NetError::Malformed(op))? as i32;
    if code == 0 {
        return Ok(Answer::Done);
    }
    Ok(Answer::Failed(Errno::from_raw(-code), extended(m)))
}

/// The kernel's sentence in an error message.
fn extended(m: &Message<'_>) -> Option<String> {
    if m.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let echoed = if m.flags & NLM_F_CAPPED != 0 { 16 } else { ne_u32(m.payload.get(4..)?)? as usize };
    Attrs::get(m.payload.get(4 + ((echoed + 3) & !3)..)?, NLMSGERR_ATTR_MSG).map(text)
}

fn set_netlink_option(fd: &OwnedFd, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: `fd` is open, and the option value is an int that outlives the call.
    let r = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(r).map(drop)
}
