//! kubectl of our own: the same commands, flags, outputs and exit codes as the original's (docs: "kubectl reference"), on the
//! crate `client`. Everything is untyped JSON; tables come from the server.

mod commands;
mod discovery;
mod failure;
mod flags;
mod generate;
mod manifest;
mod pods;
mod print;
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
    let words = command_words(&args);
    let matches = match tree::tree().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(e) => return misread(&e, &words),
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
fn command_words(args: &[OsString]) -> String {
    let tree = tree::tree();
    let mut at = &tree;
    let mut words = Vec::new();
    for word in args.iter().skip(1).filter_map(|a| a.to_str()) {
        if let Some(deeper) = at.find_subcommand(word) {
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
            print::say(&usage);
            return 0;
        }
        ErrorKind::UnknownArgument => {
            let flag = text(ContextKind::InvalidArg);
            let named = if flag.starts_with("--") { format!("unknown flag: {}", flag.split('=').next().unwrap_or_default()) } else { format!("unknown shorthand flag: '{}' in {flag}", flag.trim_start_matches('-').chars().next().unwrap_or_default()) };
            Failure::usage(named, command)
        }
        ErrorKind::InvalidSubcommand => Failure::Bare(format!("error: unknown command \"{}\" for \"kubectl{}{command}\"", text(ContextKind::InvalidSubcommand), if command.is_empty() { "" } else { " " })),
        _ => Failure::text(usage.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()),
    };
    print::tell(&failure.message());
    failure.code()
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
        ["set", what] => commands::change::set(given, what).await,
        ["taint"] => commands::change::taint(given).await,
        ["cordon"] => commands::change::cordon(given, true).await,
        ["uncordon"] => commands::change::cordon(given, false).await,
        ["replace"] => commands::change::replace(given).await,
        ["edit"] => commands::change::edit(given).await,
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
        ["version"] => commands::server::version(given).await,
        ["cluster-info"] => commands::server::info(given).await,
        ["auth", "can-i"] => commands::server::can_i(given).await,
        ["auth", "whoami"] => commands::server::whoami(given).await,
        ["events"] => commands::server::events(given).await,
        ["config", what] => commands::config::run(given, what),
        ["top", ..] => failure::wrong("Metrics API not available"),
        ["completion"] => completion(given),
        ["create"] => commands::create::files(given).await,
        ["create", "token"] => commands::create::token(given).await,
        ["create", ..] if !matches!(words, ["create", "service" | "secret"]) => commands::create::generated(given).await,
        words => {
            let mut tree = tree::tree();
            let mut command = &mut tree;
            for word in words {
                command = command.find_subcommand_mut(word).expect("clap has just matched it");
            }
            print::say(&command.render_help().to_string());
            Ok(())
        }
    }
}
