//! The image store against archives composed here.

mod compose;
mod import;
mod pull;
mod server;
