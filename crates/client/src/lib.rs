//! Speaking to a Kubernetes API server: kubeconfig files and in-cluster configuration, TLS with client certificates,
//! tokens and credential plugins, the verbs over untyped JSON, watches, and the streaming subresources over WebSocket.

mod credentials;
mod dial;
mod error;
mod http_client;
pub mod kubeconfig;
pub mod streams;
mod tls;
mod trust;
mod watch;

pub use error::Error;
pub use http_client::{Client, PatchType, RequestBody};
pub use kubeconfig::{Config, Kubeconfig, Overrides};
pub use tls::{Anyone, check_pair};
pub use trust::Bundle;
pub use watch::{Lines, Watch, WatchEvent};

#[cfg(test)]
mod tests;
