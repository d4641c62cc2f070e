//! The plugins about volumes: restrictions, limits, binding, zones.

pub mod binding;
pub mod claims;
pub mod limits;
pub mod matching;
pub mod restrictions;
pub mod zone;


#[cfg(test)]
mod tests;
