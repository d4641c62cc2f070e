//! Everything that the API server calls out to over HTTPS: one caller with its connections, and on it admission webhooks,
//! conversion webhooks and (by [`Caller`]) webhook authenticators and authorizers.
//! Docs: "Dynamic Admission Control", "Versions in CustomResourceDefinitions: Webhook conversion", "Webhook Mode".
//!
//! ```text
//!  admission ─┐                     ┌─ url:     the host it names
//!  conversion ┼─> Place ──> Caller ─┤
//!  others ────┘   (where)   (pool)  └─ service: a ready endpoint of it, known to the certificate as svc.ns.svc
//! ```

mod admission;
pub mod caller;
mod conversion;
mod images;
mod matching;
mod metrics;
pub mod place;
mod review;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod trust;

pub use admission::Webhooks;
pub use caller::{CallError, Caller, Retry};
pub use images::{ImagePolicy, ImagePolicyOptions};
pub use metrics::HookMetrics;
pub use place::Place;
pub use trust::{Identity, Trust};
