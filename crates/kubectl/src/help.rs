//! The pages of `--help`: what a command is for, how it is called, examples, its own flags. The words are in `help.txt`: `= command`
//! opens a page, `usage` how it is called, `#` and `$` are examples.

use clap::Command;
use std::fmt::Write as _;

const TEXT: &str = include_str!("help.txt");
/// Flags stand in a column of this width.
const FLAG_WIDTH: usize = 34;
/// The groups of commands on the first page.
const GROUPS: [(&str, &[&str]); 7] = [
    ("See and make objects", &["get", "describe", "explain", "create", "apply", "run", "expose", "edit", "delete"]),
    ("Change what runs", &["set", "scale", "autoscale", "rollout", "patch", "replace", "label", "annotate", "wait", "diff", "kustomize"]),
    ("Look inside", &["logs", "exec", "attach", "port-forward", "proxy", "cp", "debug", "events", "top"]),
    ("Take care of nodes", &["cordon", "uncordon", "drain", "taint"]),
    ("Permissions", &["auth", "certificate"]),
    ("The server", &["cluster-info", "api-resources", "api-versions", "version"]),
    ("This program", &["config", "completion", "plugin", "options", "alpha"]),
];

/// One page.
struct Page {
    about: &'static str,
    usage: &'static str,
    examples: Vec<&'static str>,
}

fn page(command: &str) -> Option<Page> {
    let mut lines = TEXT.lines().skip_while(|l| l.strip_prefix('=').is_none_or(|name| name.trim() != command)).skip(1);
    let about = lines.next()?;
    let mut page = Page { about, usage: "", examples: Vec::new() };
    for line in lines.take_while(|l| !l.starts_with('=')) {
        match line.strip_prefix("usage ") {
            Some(usage) => page.usage = usage,
            None => page.examples.push(line),
        }
    }
    Some(page)
}

/// Gives every command of the tree the first line of its page.
pub(crate) fn dress(command: Command, path: &str) -> Command {
    let about = page(path).map_or("", |p| p.about);
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    names.into_iter().fold(command.about(about), |command, name| {
        let below = format!("{path} {name}").trim().to_owned();
        command.mut_subcommand(name, |c| dress(c, &below))
    })
}

fn list(out: &mut String, entries: impl Iterator<Item = (String, String)>) {
    let entries: Vec<_> = entries.collect();
    let width = entries.iter().map(|(n, _)| n.len()).max().unwrap_or_default();
    for (name, about) in entries {
        writeln!(out, "  {name:width$}  {about}").expect("a string takes everything");
    }
}

fn flags(out: &mut String, command: &Command) {
    let mut all: Vec<&clap::Arg> = command.get_arguments().filter(|a| a.get_long().is_some() && !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help").collect();
    all.sort_by_key(|a| a.get_long().unwrap_or_default());
    if all.is_empty() {
        return;
    }
    out.push_str("\nFlags:\n");
    for arg in all {
        let short = arg.get_short().map_or("    ".to_owned(), |s| format!("-{s}, "));
        let value = if arg.get_num_args().is_some_and(|n| n.min_values() > 0) { "=…" } else { "" };
        let name = format!("  {short}--{}{value}", arg.get_long().unwrap_or_default());
        let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "{name:FLAG_WIDTH$}  {about}").expect("a string takes everything");
    }
}

/// The page of a command; `path` are its words.
pub(crate) fn render(tree: &Command, path: &str) -> String {
    let command = path.split(' ').filter(|w| !w.is_empty()).try_fold(tree, |at, word| at.find_subcommand(word)).unwrap_or(tree);
    let Some(page) = page(path) else { return String::new() };
    let mut out = format!("{}\n", page.about);
    let about = |name: &str| (name.to_owned(), command.find_subcommand(name).and_then(|c| c.get_about()).map(ToString::to_string).unwrap_or_default());
    if path.is_empty() {
        for (title, names) in GROUPS {
            write!(out, "\n{title}:\n").expect("a string takes everything");
            list(&mut out, names.iter().map(|n| about(n)));
        }
        out.push_str("\nUsage:\n  kubectl COMMAND [flags]\n\nMore about one command: kubectl COMMAND --help. Flags of all commands: kubectl options.\n");
        return out;
    }
    if !page.examples.is_empty() {
        out.push_str("\nExamples:\n");
        page.examples.iter().for_each(|line| out.push_str(&format!("  {}\n", line.strip_prefix("$ ").unwrap_or(line))));
    }
    let below: Vec<&str> = command.get_subcommands().map(Command::get_name).filter(|n| *n != "help").collect();
    if !below.is_empty() {
        out.push_str("\nCommands:\n");
        list(&mut out, below.iter().map(|n| about(n)));
    }
    flags(&mut out, command);
    let usage = if page.usage.is_empty() && !below.is_empty() { "COMMAND" } else { page.usage };
    let gap = if usage.is_empty() { "" } else { " " };
    write!(out, "\nUsage:\n  kubectl {path}{gap}{usage} [flags]\n\nFlags of all commands: kubectl options.\n").expect("a string takes everything");
    out
}

#[cfg(test)]
mod tests {
    //! Every command has a page, and every page a command.

    use super::{TEXT, page, render};
    use clap::Command;

    fn names(command: &Command, path: &str, out: &mut Vec<String>) {
        out.push(path.to_owned());
        for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
            names(below, format!("{path} {}", below.get_name()).trim(), out);
        }
    }

    #[test]
    fn pages_and_commands_are_the_same() {
        let tree = crate::tree::tree();
        let mut commands = Vec::new();
        names(&tree, "", &mut commands);
        for name in &commands {
            assert!(page(name).is_some(), "no page: {name:?}");
            assert!(render(&tree, name).contains("Usage:"), "{name}");
        }
        for line in TEXT.lines().filter_map(|l| l.strip_prefix('=')) {
            assert!(commands.iter().any(|c| c == line.trim()), "no command: {line:?}");
        }
    }

    #[test]
    fn examples_can_be_read() {
        for example in TEXT.lines().filter_map(|l| l.strip_prefix("$ kubectl ")) {
            let words = example.split(" -- ").next().unwrap_or_default().split(' ').filter(|w| !w.contains(['"', '\'', '{']));
            let words = std::iter::once("kubectl").chain(words.take_while(|w| !matches!(*w, "Ana" | "|")));
            let read = crate::tree::tree().try_get_matches_from(words);
            let kind = read.as_ref().err().map(clap::Error::kind);
            assert!(!matches!(kind, Some(clap::error::ErrorKind::UnknownArgument | clap::error::ErrorKind::InvalidSubcommand)), "{example}: {read:?}");
        }
    }
}
