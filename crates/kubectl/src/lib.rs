//! kubectl of our own: the same commands, flags, outputs and exit codes as the original's (docs: "kubectl reference"), on the
//! crate `client`. Everything is untyped JSON; tables come from the server.

mod commands;
mod discovery;
mod failure;
mod flags;
pub mod fuzz;
mod generate;
mod help;
mod kustomize;
mod manifest;
mod pods;
mod print;
mod prune;
mod query;
mod select;
mod session;
mod terminal;
mod times;
mod tree;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use failure::{Failure, Outcome};
use flags::Given;
use std::ffi::OsString;

/// Runs one command line (with the program's name first) and returns its exit code.
#[must_use]
pub fn run(args: Vec<OsString>) -> i32 {
    let mut tree = tree::tree();
    if let Some(code) = commands::plugin::instead(&args, &tree) {
        return code;
    }
    let matches = match tree.try_get_matches_from_mut(&args) {
        Ok(matches) => matches,
        Err(e) => return misread(&e, &command_words(&args, &tree)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            print::tell(&format!("error: {e}"));
            return 1;
        }
    };
    let mut words = Vec::new();
    let mut inner = &matches;
    while let Some((name, deeper)) = inner.subcommand() {
        words.push(name);
        inner = deeper;
    }
    let outcome = runtime.block_on(dispatch(&words, inner));
    // A read of standard input may still be under way; it is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            let message = failure.message();
            if !message.is_empty() {
                print::tell(&message);
            }
            failure.code()
        }
    }
}

/// The words of a command line that name a command, whatever else is wrong with it.
fn command_words(args: &[OsString], tree: &clap::Command) -> String {
    let mut at = tree;
    let mut words = Vec::new();
    for word in args.iter().skip(1).filter_map(|a| a.to_str()) {
        if let Some(deeper) = at.find_subcommand(word).filter(|d| d.get_name() != "help") {
            words.push(deeper.get_name().to_owned());
            at = deeper;
        }
    }
    words.join(" ")
}

/// A command line that clap refused, in kubectl's words.
fn misread(e: &clap::Error, command: &str) -> i32 {
    let text = |kind| match e.get(kind) {
        Some(ContextValue::String(s)) => s.clone(),
        Some(ContextValue::Strings(all)) => all.join(" "),
        _ => String::new(),
    };
    let usage = e.to_string();
    let failure = match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print::say(&help::render(&tree::tree(), command));
            return 0;
        }
        ErrorKind::UnknownArgument => {
            let flag = text(ContextKind::InvalidArg);
            let named = if flag.starts_with("--") { format!("unknown flag: {}", flag.split('=').next().unwrap_or_default()) } else { format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-').chars().next().unwrap_or_default()) };
            Failure::flag(named, command)
        }
        ErrorKind::InvalidSubcommand if !command.is_empty() => Failure::usage(format!("unknown command \"{}\"", text(ContextKind::InvalidSubcommand)), command),
        ErrorKind::InvalidSubcommand => unknown(&text(ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues if text(ContextKind::InvalidValue).is_empty() => Failure::flag(format!("flag needs an argument: {}", needing(&text(ContextKind::InvalidArg))), command),
        _ => Failure::text(usage.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()),
    };
    print::tell(&failure.message());
    failure.code()
}

/// `--output <output>` as it was most likely written: the flag that stands last on the command line.
fn needing(flag: &str) -> String {
    let long = flag.split([' ', '=']).next().unwrap_or(flag);
    let last = std::env::args().next_back().unwrap_or_default();
    match last.strip_prefix('-').filter(|l| !l.starts_with('-')).and_then(|l| l.chars().last()) {
        Some(letter) => format!("'{letter}' in {last}"),
        None => long.to_owned(),
    }
}

/// Changes of one letter between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(x != *y));
            diagonal = above;
        }
    }
    row[b.len()]
}

/// A first word that is no command, with those that look like it.
fn unknown(word: &str) -> Failure {
    const NEAR: usize = 2;
    let near: Vec<String> = tree::ORDER.into_iter().filter(|n| distance(&n.to_lowercase(), &word.to_lowercase()) <= NEAR || n.starts_with(word)).map(|n| format!("\t{n}\n")).collect();
    let hint = if near.is_empty() { String::new() } else { format!("\n\nDid you mean this?\n{}", near.concat().trim_end_matches('\n')) };
    Failure::Bare(format!("error: unknown command \"{word}\" for \"kubectl\"{hint}"))
}

/// `kubectl completion SHELL`.
fn completion(given: &Given<'_>) -> Outcome {
    use clap_complete::Shell;
    let shell = match given.args()[..] {
        ["bash"] => Shell::Bash,
        ["zsh"] => Shell::Zsh,
        ["fish"] => Shell::Fish,
        ["powershell"] => Shell::PowerShell,
        [] => return Err(Failure::usage("Shell not specified.", &given.command)),
        [other] => return Err(Failure::usage(format!("Unsupported shell type \"{other}\"."), &given.command)),
        _ => return Err(Failure::usage("Too many arguments. Expected only the shell type.", &given.command)),
    };
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut tree::tree(), "kubectl", &mut out);
    print::say(&String::from_utf8_lossy(&out));
    Ok(())
}

async fn dispatch(words: &[&str], matches: &ArgMatches) -> Outcome {
    let given = Given { matches, command: words.join(" ") };
    let given = &given;
    match words {
        ["get"] => commands::get::run(given).await,
        ["apply"] => commands::apply::run(given).await,
        ["delete"] => commands::delete::run(given).await,
        ["run"] => commands::run::run(given).await,
        ["expose"] => commands::run::expose(given).await,
        ["logs"] => commands::logs::run(given).await,
        ["exec"] => commands::exec::run(given).await,
        ["attach"] => commands::exec::attach(given).await,
        ["scale"] => commands::change::scale(given).await,
        ["label"] => commands::change::mark(given, "labels").await,
        ["annotate"] => commands::change::mark(given, "annotations").await,
        ["patch"] => commands::change::patch(given).await,
        ["set", what] => commands::set::run(given, what).await,
        ["taint"] => commands::change::taint(given).await,
        ["cordon"] => commands::change::cordon(given, true).await,
        ["uncordon"] => commands::change::cordon(given, false).await,
        ["replace"] => commands::edit::replace(given).await,
        ["edit"] => commands::edit::run(given).await,
        ["describe"] => commands::describe::run(given).await,
        ["rollout", what] => commands::rollout::run(given, what).await,
        ["wait"] => commands::wait::run(given).await,
        ["drain"] => commands::wait::drain(given).await,
        ["port-forward"] => commands::forward::run(given).await,
        ["api-resources"] => commands::server::resources(given).await,
        ["api-versions"] => commands::server::versions(given).await,
        ["explain"] => commands::explain::run(given).await,
        ["cp"] => commands::copy::run(given).await,
        ["diff"] => commands::diff::run(given).await,
        ["autoscale"] => commands::autoscale::run(given).await,
        ["debug"] => commands::debug::run(given).await,
        ["proxy"] => commands::proxy::run(given).await,
        ["kustomize"] => commands::kustomize::run(given).await,
        ["plugin", "list"] => commands::plugin::list(given),
        ["options"] => { print::say("The following options can be passed to any command:\n\n"); print::say(&tree::options()); Ok(()) }
        ["alpha"] => { print::tell("No alpha commands are available in this version of kubectl"); Ok(()) }
        ["certificate", what] => commands::certificate::run(given, *what == "approve").await,
        ["cluster-info", "dump"] => commands::dump::run(given).await,
        ["auth", "reconcile"] => commands::reconcile::run(given).await,
        ["apply", "view-last-applied"] => commands::last_applied::view(given).await,
        ["apply", "set-last-applied"] => commands::last_applied::set(given).await,
        ["apply", "edit-last-applied"] => commands::last_applied::edit(given).await,
        ["version"] => commands::server::version(given).await,
        ["cluster-info"] => commands::server::info(given).await,
        ["auth", "can-i"] => commands::server::can_i(given).await,
        ["auth", "whoami"] => commands::server::whoami(given).await,
        ["events"] => commands::server::events(given).await,
        ["config", what] => commands::config::run(given, what),
        ["top", _] => failure::wrong("Metrics API not available"),
        ["completion"] => completion(given),
        ["create"] => commands::create::files(given).await,
        ["create", "token"] => commands::create::token(given).await,
        ["create", ..] if !matches!(words, ["create", "service" | "secret"]) => commands::create::generated(given).await,
        words => {
            let help = help::render(&tree::tree(), &given.command);
            if matches!(words, [] | ["certificate"]) {
                print::say(&help);
                return Ok(());
            }
            if matches!(words, ["rollout"]) {
                print::say(&help);
            } else {
                print::tell(&help);
            }
            Err(Failure::Exit(1))
        }
    }
}
