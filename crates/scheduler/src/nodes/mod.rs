//! All nodes with their pods: kept up incrementally from changes, with pods that are assumed to be placed until their
//! binding is seen, and pods that are nominated to a node. `audit` recomputes everything and compares.

mod info;
mod table;
mod volumes;

pub use info::{NodeInfo, REGION_LABELS, ZONE_LABELS, free};
pub use table::{NodeTable, Placement, counts};
pub use volumes::Reservations;
