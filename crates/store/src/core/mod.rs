//! The pure half of the embedded engine: which revisions of which keys exist (key index), what a transaction may do
//! (staging), which recent events are at hand (ring), which log segments are worth rewriting (reclaim). No I/O, no
//! clock, no threads: a model checks it. Its semantics are those of etcd's mvcc key index.

pub(crate) mod index;
pub(crate) mod reclaim;
pub(crate) mod ring;
pub(crate) mod stage;
#[cfg(test)]
mod tests;
