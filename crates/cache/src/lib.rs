//! The one decoded image of the store: tables of immutable entries, indexes beside them, snapshots at a revision, and
//! the journal that watchers read from. Pure data: one writer calls [`Tables::apply`], everyone reads [`Snapshot`]s.

pub mod cooling;
pub mod entry;
pub mod index;
pub mod journal;
pub mod snapshot;
pub mod source;
pub mod table;

pub use cooling::Cooling;
pub use entry::{Decode, Entry};
pub use journal::{Journal, Lost};
pub use snapshot::{Change, Snapshot, Tables, Write};
pub use source::{Batch, Interest, Source, Subscription};
pub use table::{Marks, Table};

#[cfg(test)]
mod tests;
