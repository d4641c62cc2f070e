//! See ARCHITECTURE.md.

pub mod dns_loop;
pub mod proxy_loop;
