//! Port forwarding: the shim makes a socket inside the pod's network namespace, this process connects it and copies. The
//! same path serves pods on the node's network.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use tokio::io::DuplexStream;
use tokio::net::{TcpSocket, TcpStream};

use super::link::Link;
use super::{Core, errors};
use crate::cri::RuntimeError;
use crate::shim::wire::Call;

impl Core {
    /// Connects to a port on the pod's loopback and copies until both sides are done.
    pub(super) async fn port_forward(&self, id: &str, port: u16, mut stream: DuplexStream) -> Result<(), RuntimeError> {
        let sandbox = self.sandbox(id)?;
        let link = self.sandbox_link(id)?;
        let mut connection = match connect(&link, SocketAddr::from(([127, 0, 0, 1], port))).await? {
            Ok(connection) => connection,
            Err(v4) => match connect(&link, SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).await? {
                Ok(connection) => connection,
                Err(v6) => {
                    let place = sandbox.file.config.netns.map_or_else(|| "host".to_owned(), |path| path.display().to_string());
                    let words = |e: std::io::Error| super::plain(&e.to_string());
                    return Err(RuntimeError::Internal(format!(
                        "failed to execute portforward in network namespace {place:?}: failed to connect to localhost:{port} \
                         inside namespace {place:?}, IPv4: dial tcp4 127.0.0.1:{port}: connect: {} IPv6 dial tcp6 [::1]:{port}: \
                         connect: {} ",
                        words(v4),
                        words(v6)
                    )));
                }
            },
        };
        // Either side may go away at any time; that is how forwarding ends.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut connection).await;
        Ok(())
    }
}

async fn connect(link: &Link, to: SocketAddr) -> Result<std::io::Result<TcpStream>, RuntimeError> {
    let reply = link.call(Call::Socket { v6: to.is_ipv6() }, &[]).await;
    let socket: OwnedFd = match reply.map_err(errors::of_call) {
        Ok(reply) => reply.descriptor.ok_or_else(|| RuntimeError::Internal("the socket is missing".to_owned()))?,
        // A kernel without this family: as if nothing listened there.
        Err(e) if to.is_ipv6() => return Ok(Err(std::io::Error::other(e.to_string()))),
        Err(e) => return Err(e),
    };
    let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
    Ok(socket.connect(to).await)
}
