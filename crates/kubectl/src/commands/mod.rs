//! The commands, a file each.

pub(crate) mod apply;
pub(crate) mod change;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod forward;
pub(crate) mod get;
pub(crate) mod logs;
pub(crate) mod rollout;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod wait;
