//! The node's wiring: runtime, network, kubelet loops. (Being wired.)

use crate::places::Places;
use anyhow::Result;
use runtime::{Embedded, EmbeddedConfig};
use runtime::image::ImageStore;

/// Opens the container runtime of a data directory.
pub(crate) async fn open_runtime(places: &Places) -> Result<Embedded> {
    let images = ImageStore::open(&places.runtime().join("images"))?;
    Ok(Embedded::open(EmbeddedConfig::new(places.runtime()), images).await?)
}

/// Removes what the network of a data directory left on the machine.
pub(crate) fn remove_network(places: &Places) {
    let _ = places;
}
