//! Vocabulary that std lacks and every room may use: the ports for time, identity and chance, the store's revision,
//! back-off arithmetic, and metric primitives. Nothing here reads a clock or the system by itself.

pub mod backoff;
pub mod metrics;
pub mod port;
pub mod revision;

pub use backoff::Backoff;
pub use port::{Clock, Ids};
pub use revision::Revision;
