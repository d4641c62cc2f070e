//! Bash scripts with a deadline: run, everything they say kept, and killed as a whole when they hang.

use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a child is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a script said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its output, both streams as they came.
    pub text: String,
    /// Whether it ended well in time.
    pub ok: bool,
    /// How long it took.
    pub took: Duration,
}

/// Looks at a condition until it holds; false when it did not in time.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Waits for a child, not longer than that.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut status = None;
    within(limit, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    status
}

/// Runs a command in a process group of its own, its output in `log`; what is left of the group is killed after.
pub fn run(mut command: Command, limit: Duration, log: &Path) -> Result<Said> {
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let begun = Instant::now();
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
    let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
    let status = wait(&mut child, limit);
    // Background jobs of the script go with it.
    signal(&format!("-{}", child.id()), "KILL");
    let mut text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    match status {
        None => {
            child.wait()?;
            text.push_str(&format!("\n(not done after {} s)\n", limit.as_secs()));
        }
        Some(s) if !s.success() => text.push_str(&format!("\n({s})\n")),
        Some(_) => {}
    }
    Ok(Said { text, ok: status.is_some_and(|s| s.success()), took: begun.elapsed() })
}

/// Sends a signal to a process, or to a group with a minus before its number.
pub fn signal(whom: &str, name: &str) {
    // It may be gone already.
    let _ = Command::new("kill").args(["-s", name, "--", whom]).stderr(Stdio::null()).status();
}
