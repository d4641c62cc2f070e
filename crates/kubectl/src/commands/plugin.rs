//! `kubectl plugin list`, and plugins themselves (docs: "Extend kubectl with plugins"): `kubectl-foo-bar` on the path is
//! `kubectl foo bar`; the longest name that exists is run, in our place.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{say, tell};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

fn directories() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = Vec::new();
    for dir in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if !dir.as_os_str().is_empty() && !out.contains(&dir) {
            out.push(dir);
        }
    }
    out
}

fn executable(path: &std::path::Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Becomes the plugin that a command line names, when its first words are no command of ours; its exit code if it could not.
pub(crate) fn instead(args: &[OsString], tree: &clap::Command) -> Option<i32> {
    let words: Vec<&str> = args.iter().skip(1).map_while(|a| a.to_str()).take_while(|a| !a.starts_with('-')).collect();
    let first = words.first()?;
    if tree.find_subcommand(first).is_some() || matches!(*first, "help" | "__complete") {
        return None;
    }
    for used in (1..=words.len()).rev() {
        let name = format!("kubectl-{}", words[..used].iter().map(|w| w.replace('-', "_")).collect::<Vec<_>>().join("-"));
        let found = directories().into_iter().map(|d| d.join(&name)).find(|p| executable(p));
        if let Some(path) = found {
            let failed = std::process::Command::new(&path).args(&args[used + 1..]).exec();
            tell(&format!("error: {failed}"));
            return Some(1);
        }
    }
    None
}

/// `kubectl plugin list`.
pub(crate) fn list(given: &Given<'_>) -> Outcome {
    let tree = crate::tree::tree();
    let (mut shown, mut seen): (Vec<String>, Vec<(String, PathBuf)>) = (Vec::new(), Vec::new());
    let mut warnings = 0;
    for dir in directories() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).filter(|n| n.starts_with("kubectl-")).collect();
        names.sort();
        for name in names {
            let path = dir.join(&name);
            if path.is_dir() {
                continue;
            }
            if shown.is_empty() {
                say("The following compatible plugins are available:\n\n");
            }
            let text = if given.on("name-only") { name.clone() } else { path.display().to_string() };
            say(&format!("{text}\n"));
            shown.push(text);
            let words: Vec<&str> = name.split('-').skip(1).collect();
            let own = words.len() == 1 && tree.find_subcommand(words[0]).is_some();
            let warned = if !executable(&path) {
                Some(format!("  - warning: {} identified as a kubectl plugin, but it is not executable", path.display()))
            } else if let Some((_, earlier)) = seen.iter().find(|(n, _)| *n == name) {
                Some(format!("  - warning: {} is overshadowed by a similarly named plugin: {}", path.display(), earlier.display()))
            } else if own {
                Some(format!("  - warning: {name} overwrites existing command: \"kubectl {}\"", words[0]))
            } else {
                None
            };
            if let Some(text) = warned {
                tell(&text);
                warnings += 1;
            }
            seen.push((name, path));
        }
    }
    match (shown.is_empty(), warnings) {
        (true, _) => wrong("unable to find any kubectl plugins in your PATH"),
        (_, 0) => Ok(()),
        (_, 1) => Err(Failure::text("one plugin warning was found")),
        (_, n) => Err(Failure::text(format!("{n} plugin warnings were found"))),
    }
}
