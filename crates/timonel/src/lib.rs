//! Timonel: Kubernetes v1.36 in one program. This crate wires the rooms together and speaks with the person at the
//! terminal; it decides nothing about Kubernetes.

mod admission;
mod args;
mod backup;
mod chance;
mod config;
mod control;
mod demo;
mod doctor;
mod duties;
mod engine;
mod identity;
mod images;
mod issuer;
mod kubeconfig;
mod places;
mod restore;
mod screen;
mod serving;
mod status;
mod uninstall;
mod up;
mod worker;

use std::ffi::OsString;
use std::path::Path;

/// Runs the program and returns its exit code.
#[must_use]
pub fn run(args: Vec<OsString>) -> i32 {
    if let Some(rest) = for_kubectl(&args) {
        return kubectl::run(rest);
    }
    let args = args::Args::read(args);
    let outcome = match args.command {
        args::Command::Up(o) => up::up(&o, true),
        args::Command::Server(o) => up::up(&o, false),
        args::Command::Status(o) => status::status(&o),
        args::Command::Doctor(o) => doctor::doctor(&o),
        args::Command::Uninstall(o) => uninstall::uninstall(&o),
        args::Command::Backup(o) => backup::backup(&o),
        args::Command::Restore(o) => backup::restore(&o),
        args::Command::Image(o) => images::image(&o),
        // Answered above, before the other flags are looked at; listed for --help.
        args::Command::Kubectl { words } => Ok(kubectl::run(words.into_iter().map(OsString::from).collect())),
    };
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {}", told(&e));
            1
        }
    }
}

/// An error and its causes in one line; a cause that its consequence quotes is not said twice.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        said if said.contains(&cause) => line,
        _ => format!("{line}: {cause}"),
    })
}

/// The words of a call that is kubectl's: by the name the program was called by, or by the first word.
fn for_kubectl(args: &[OsString]) -> Option<Vec<OsString>> {
    let called = args.first().map(Path::new).and_then(Path::file_name)?;
    if called == "kubectl" {
        return Some(args.to_vec());
    }
    (args.get(1)? == "kubectl").then(|| args[1..].to_vec())
}
