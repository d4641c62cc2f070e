//! YAML to JSON and back as Kubernetes (sigs.k8s.io/yaml) does it: YAML 1.1 booleans, octal numbers and merge keys when
//! reading; sorted keys, lists not indented under their key, the same quoting and line folding when writing.

mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Document, YamlError, documents, parse};
pub use write::{write, write_into};
