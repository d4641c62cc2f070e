//! Links, addresses, routes and neighbours by rtnetlink (rtnetlink(7)).

mod address;
mod device;
mod route;

pub use address::IfAddress;
pub use device::{Link, Mac, VethPair, Vxlan};
pub use route::Route;

use crate::NetError;
use crate::netlink::{Protocol, Socket};

/// The loopback device's index in every namespace.
pub const LOOPBACK_INDEX: u32 = 1;

/// A connection to the kernel's link, address and route tables in one network namespace.
#[derive(Debug)]
pub struct Rtnl {
    socket: Socket,
}

impl Rtnl {
    /// Connects in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetError> {
        Ok(Self { socket: Socket::open(Protocol::Route)? })
    }
}

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const CREATE_OR_REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;

#[cfg(test)]
mod tests;
