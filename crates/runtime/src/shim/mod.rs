//! The process that stands beside a pod: it holds the pod's namespaces, its containers' standard streams, logs and exit
//! codes, and survives the main process (what the CRI world calls a shim).
//!
//! ```text
//! main process ──exec──> zygote (this binary, `timonel-shim`, one thread)
//!                           └─fork──> shim of pod A ──fork──> containers, execs
//!                           └─fork──> shim of pod B
//! ```
//! The zygote exists so that a shim is a fork and not an exec: every shim shares the zygote's pages (relocations of a
//! 30 MiB binary alone would be megabytes each), and is there in a millisecond. The zygote ends with its main process; shims
//! do not. All of this has one thread, so forked children may run ordinary code.

mod attach;
mod containers;
mod exec;
mod log;
mod loops;
mod pod;
pub(crate) mod wire;
mod zygote;

#[cfg(test)]
mod tests;

use zygote::ZYGOTE_ARGUMENT;
pub(crate) use zygote::{Zygote, readiness};

/// True when the arguments ask for the shim: the binary then calls [`main`] before anything else.
pub fn is_shim(mut args: impl Iterator<Item = impl AsRef<std::ffi::OsStr>>) -> bool {
    let named = |arg: &std::ffi::OsStr| std::path::Path::new(arg).file_name().is_some_and(|name| name == ZYGOTE_ARGUMENT);
    args.next().is_some_and(|arg| named(arg.as_ref())) || args.next().is_some_and(|arg| arg.as_ref() == ZYGOTE_ARGUMENT)
}

/// Runs as the zygote. Never returns. Must be called while the process has one thread.
pub fn main() -> ! {
    zygote::serve()
}
