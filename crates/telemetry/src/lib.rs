//! Logs: one subscriber, text or JSON, on standard error. (Metric primitives and their exposition are `base::metrics`.)

use tracing_subscriber::EnvFilter;

/// The variable that overrides the level, in the syntax of `tracing_subscriber::EnvFilter`.
pub const VARIABLE: &str = "TIMONEL_LOG";

/// Starts logging at `level` (`warn`, `info`, `debug`, `trace`) unless the variable says otherwise. A second call
/// changes nothing.
pub fn start_log(level: &str, json: bool) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| {
        EnvFilter::new(format!("{level},hyper=warn,h2=warn,rustls=warn,hickory_proto=warn"))
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
