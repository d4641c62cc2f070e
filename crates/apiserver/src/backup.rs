//! `GET /timonel/backup`: everything stored, as of now, in the form of `registry::backup`. A path of Timonel's own; who may
//! read it is decided by rules on non-resource URLs, of which only `cluster-admin` has this one.

use crate::call::Call;
use crate::respond::{self, Body, Reply};
use registry::backup::Pages;
use tokio::sync::mpsc;

/// The path.
pub const PATH: &str = "/timonel/backup";
/// The media type of the answer.
const MEDIA: &str = "application/vnd.timonel.backup";
/// Pages that wait for the client; the store is read no faster than it takes them.
const PAGES_MAX: usize = 2;

/// Begins to send. An error later on cuts the answer off before its end, which every reader notices.
pub(crate) fn answer(call: &Call) -> Reply {
    let (tx, rx) = mpsc::channel(PAGES_MAX);
    tokio::spawn(send(call.shared.registry.backup(), tx));
    respond::with_media(200, Body::Stream(rx), MEDIA)
}

async fn send(mut pages: Pages, tx: mpsc::Sender<bytes::Bytes>) {
    loop {
        match pages.next().await {
            Ok(None) => return,
            Ok(Some(page)) => {
                if tx.send(page).await.is_err() {
                    return;
                }
            }
            Err(e) => return tracing::warn!(err = %e, "A backup was cut off"),
        }
    }
}
