//! The kubelet API.

use crate::config::Tls;
use crate::hands::Hands;
use crate::pod_loop::Pods;
use crate::start::StartError;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) async fn start(
    listen: SocketAddr,
    tls: Tls,
    hands: Arc<Hands>,
    pods: Pods,
    metrics: base::metrics::Registry,
    stop: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let _ = (tls, hands, pods, metrics);
    Ok((listen, tokio::spawn(async move { stop.cancelled().await })))
}
