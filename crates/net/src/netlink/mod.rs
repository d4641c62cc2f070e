//! Netlink framing (RFC 3549 and include/uapi/linux/netlink.h): messages, attributes, and a blocking socket.

mod attr;
mod socket;

pub use attr::{Attrs, Message, Messages, Writer, be_u16, be_u32, be_u64, ne_u32, text};
pub use socket::{Protocol, Socket};

#[cfg(test)]
mod tests;
