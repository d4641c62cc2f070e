//! `kubectl cp`: files and directories to and from containers, by the `tar` of both sides.

use crate::commands::exec::{Wish, piped};
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::pods;
use crate::print::tell;
use crate::session::Session;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// `[namespace/]pod:path` or a local path.
#[derive(Debug)]
struct Place<'a> {
    pod: Option<(Option<&'a str>, &'a str)>,
    path: &'a str,
}

fn place(text: &str) -> Outcome<Place<'_>> {
    let Some((pod, path)) = text.split_once(':').filter(|_| !text.starts_with(['/', '.'])) else {
        return Ok(Place { pod: None, path: text });
    };
    if path.is_empty() {
        return wrong("filepath can not be empty");
    }
    let pod = pod.split_once('/').map_or((None, pod), |(n, p)| (Some(n), p));
    Ok(Place { pod: Some(pod), path })
}

fn local_tar(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new("tar");
    command.args(arguments).current_dir(directory).kill_on_drop(true);
    command
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let args = given.args();
    let [from, to] = args[..] else { return wrong("source and destination are required") };
    let (from, to) = (place(from)?, place(to)?);
    let (pod, download) = match (&from.pod, &to.pod) {
        (Some(_), Some(_)) => return wrong("one of src or dest must be a local file specification"),
        (Some(pod), None) => (pod, true),
        (None, Some(pod)) => (pod, false),
        _ => return wrong("one of src or dest must be a remote file specification"),
    };
    if !download && !Path::new(from.path).exists() {
        return wrong(format!("{} doesn't exist in local filesystem", from.path));
    }
    let mut session = Session::open(given)?;
    if let Some(namespace) = pod.0 {
        session.namespace = namespace.to_owned();
    }
    let object = pods::one(&session, pod.1, Duration::ZERO).await?;
    let container = pods::container(&object, given.text("container"), false)?;
    let wish = Wish { namespace: session.namespace.clone(), pod: pod.1.to_owned(), container, command: Vec::new(), stdin: !download, tty: false };
    if download { fetch(&session, wish, from.path, to.path).await } else { send(&session, wish, from.path, to.path, given.on("no-preserve")).await }
}

async fn fetch(session: &Session, wish: Wish<'_>, remote: &str, local: &str) -> Outcome {
    let local = Path::new(local);
    let base = Path::new(remote).file_name().map(|n| n.to_string_lossy().into_owned());
    let scratch = tempfile::Builder::new().prefix("kubectl-cp-").tempdir()?;
    let mut tar = local_tar(&["xf", "-"], scratch.path()).stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let stdin = tar.stdin.take().ok_or_else(|| Failure::text("tar takes no input"))?;
    let wish = Wish { command: vec!["tar", "cf", "-", remote], ..wish };
    let code = piped(session, &wish, None::<tokio::io::Empty>, stdin, tokio::io::stdout()).await;
    let unpacked = tar.wait().await?;
    let got = scratch.path().join(remote.trim_start_matches('/'));
    let target = if local.is_dir() { local.join(base.unwrap_or_default()) } else { local.to_owned() };
    let moved = if code.as_ref().is_ok_and(|c| *c == 0) && unpacked.success() {
        Command::new("cp").arg("-aT").arg(&got).arg(&target).status().await.map(|s| s.success())
    } else {
        Ok(true)
    };
    scratch.close()?;
    match (code?, moved?) {
        (0, true) => Ok(()),
        (0, false) => wrong(format!("cannot write {}", target.display())),
        // The other side's tar has said what it misses; the original leaves it at that.
        _ => Ok(()),
    }
}

async fn send(session: &Session, wish: Wish<'_>, local: &str, remote: &str, no_preserve: bool) -> Outcome {
    let source = std::path::absolute(local)?;
    if !source.exists() {
        return wrong(format!("{local} doesn't exist in local filesystem"));
    }
    let test = Wish { command: vec!["test", "-d", remote], stdin: false, ..wish.clone() };
    let is_dir = piped(session, &test, None::<tokio::io::Empty>, tokio::io::sink(), tokio::io::sink()).await.is_ok_and(|c| c == 0);
    let name = source.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let trimmed = remote.trim_end_matches('/');
    let (directory, target) = if is_dir { (remote, name.clone()) } else { trimmed.rsplit_once('/').map_or((".", trimmed.to_owned()), |(d, n)| (if d.is_empty() { "/" } else { d }, n.to_owned())) };
    let rename = format!("--transform=s,^{},{target},", name.replace(['.', ','], "\\."));
    let parent = source.parent().unwrap_or(Path::new("/"));
    let mut tar = local_tar(&["cf", "-", &rename, &name], parent).stdout(Stdio::piped()).spawn()?;
    let stdout = tar.stdout.take().ok_or_else(|| Failure::text("tar gives no output"))?;
    let mut command = vec!["tar", "-xmf", "-"];
    if no_preserve {
        command = vec!["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"];
    }
    command.extend(["-C", directory]);
    let code = piped(session, &Wish { command, ..wish }, Some(stdout), tokio::io::stdout(), tokio::io::stderr()).await?;
    tar.wait().await?;
    if code == 0 {
        return Ok(());
    }
    tell(&format!("command terminated with exit code {code}"));
    Err(Failure::Exit(1))
}
