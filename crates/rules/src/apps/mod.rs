//! The apps group.
