//! Integration tests. Of the built program: a whole cluster in a network namespace of its own, driven with a kubectl that
//! nobody here wrote; that part knows nothing of the product but its command line. And of its parts together: the
//! simulator ([`sim`]), and what strangers send ([`fuzz`]). Development only.
//!
//! What a test needs and a machine may lack is told by [`machine::missing`], in words for `SKIP <name>: <reason>`.

pub mod cluster;
pub mod compare;
pub mod control;
pub mod fuzz;
pub mod machine;
pub mod script;
pub mod sim;
pub mod steps;
