//! See ARCHITECTURE.md.

pub mod proxy_loop;
