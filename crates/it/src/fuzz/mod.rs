//! What strangers send, in every shape: the bodies of the fuzz targets (`fuzz/`, cargo-fuzz) as plain functions, and a
//! seeded mutator with which the ordinary tests run them on the checked-in corpus (`tests/fuzz.rs`). A target panics when a
//! law is broken; errors are what most bytes deserve.

pub mod mutate;
pub mod targets;

use targets as t;

/// Every target by its name, which names its corpus too.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("json", t::json),
    ("strict", t::strict),
    ("protobuf", t::protobuf),
    ("message", t::message),
    ("watch_frame", t::watch_frame),
    ("yaml", t::yaml),
    ("quantity", t::quantity),
    ("selector", t::selector),
    ("continue_token", t::continue_token),
    ("json_patch", t::json_patch),
    ("merge_patch", t::merge_patch),
    ("strategic_patch", t::strategic_patch),
    ("apply_patch", t::apply_patch),
    ("cel", t::cel),
    ("jsonpath", kubectl::fuzz::jsonpath),
    ("gotemplate", kubectl::fuzz::gotemplate),
    ("websocket", node::fuzz::websocket),
    ("spdy", node::fuzz::spdy),
];

/// Runs one target by its name.
///
/// # Panics
/// When there is none of that name, or a law is broken.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(n, _)| *n == name);
    (target.expect("a target of that name").1)(data);
}
