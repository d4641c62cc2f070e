//! The HTTP skin of the API: TLS, authentication, request info, discovery, OpenAPI, watch framing, reviews, relaying to
//! kubelets. It decides nothing about objects: every verb is one call of the registry.

pub mod aggregate;
mod arriving;
pub mod audit;
pub mod authn;
pub mod authz;
mod backup;
mod body;
mod call;
mod connect;
mod connections;
mod deadline;
mod discovery;
pub mod encryption;
mod expression;
pub mod fairness;
mod handler;
mod health;
mod kubelet;
mod links;
pub mod metrics;
mod openapi;
mod output;
pub mod pki;
mod profiling;
pub mod request;
mod resource;
pub mod respond;
mod reviews;
#[cfg(test)]
mod testing;
pub mod server;
mod sockets;
mod strangers;
pub mod tokens;
mod watching;
pub mod webhook;
pub mod zpages;

pub use deadline::parse as parse_duration;
pub use backup::PATH as BACKUP_PATH;
pub use discovery::GIT_VERSION;
pub use reviews::issue as issue_token;
pub use server::{Served, Shared, serve};
