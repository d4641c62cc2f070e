//! `kubectl exec` and `kubectl attach`.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tell;
use crate::query::Query;
use crate::session::Session;
use crate::{pods, terminal};
use client::streams::Ends;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a session joins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// Empty: attach.
    pub(crate) command: Vec<&'a str>,
    pub(crate) stdin: bool,
    pub(crate) tty: bool,
}

impl Wish<'_> {
    /// The path and query.
    pub(crate) fn path(&self) -> String {
        let verb = if self.command.is_empty() { "attach" } else { "exec" };
        let mut query = Query::default();
        for word in &self.command {
            query = query.and("command", word);
        }
        query = query.and_some("container", Some(&self.container)).when(self.stdin, "stdin", "true").and("stdout", "true");
        query = query.when(!self.tty, "stderr", "true").when(self.tty, "tty", "true");
        format!("/api/v1/namespaces/{}/pods/{}/{verb}{}", self.namespace, self.pod, query.text())
    }
}

/// Joins a session with this terminal; gives the command's exit code.
pub(crate) async fn join(session: &Session, wish: &Wish<'_>) -> Outcome<i32> {
    let opened = session.client.session(&wish.path()).await?;
    let raw = if wish.tty { terminal::Raw::enter() } else { None };
    let ends = Ends { stdin: wish.stdin.then(tokio::io::stdin), stdout: tokio::io::stdout(), stderr: tokio::io::stderr(), sizes: terminal::sizes(wish.tty) };
    let code = opened.run(ends).await;
    drop(raw);
    // What goes wrong once the session is open is no answer of the server any more.
    code.map_err(|e| match e {
        client::Error::Api(e) => Failure::text(e.message),
        other => other.into(),
    })
}

/// Runs a command with given ends; gives its exit code.
pub(crate) async fn piped<I, O, E>(session: &Session, wish: &Wish<'_>, stdin: Option<I>, stdout: O, stderr: E) -> Outcome<i32>
where
    I: AsyncRead + Send + Unpin,
    O: AsyncWrite + Send + Unpin,
    E: AsyncWrite + Send + Unpin,
{
    let opened = session.client.session(&wish.path()).await?;
    Ok(opened.run(Ends { stdin, stdout, stderr, sizes: terminal::sizes(false) }).await?)
}

fn refuse_finished(pod: &Value) -> Outcome {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return wrong(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    Ok(())
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let (args, command) = (given.args(), given.rest());
    let word = match args[..] {
        [word] => word,
        [] => return wrong("pod, type/name or --filename must be specified"),
        _ => return wrong("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples"),
    };
    if command.is_empty() {
        return wrong("you must specify at least one command for the container");
    }
    let session = Session::open(given)?;
    let pod = pods::one(&session, word, given.duration("pod-running-timeout")?.unwrap_or(PATIENCE)).await?;
    refuse_finished(&pod)?;
    // Whether a named container is there is for the server to say.
    let container = match given.text("container").filter(|c| !c.is_empty()) {
        Some(named) => named.to_owned(),
        None => pods::container(&pod, None, given.on("quiet"))?,
    };
    let (stdin, mut tty) = (given.on("stdin"), given.on("tty"));
    if tty && !(stdin && terminal::is_terminal()) {
        tell("Unable to use a TTY - input is not a terminal or the right kind of file");
        tty = tty && !stdin;
    }
    let wish = Wish {
        namespace: pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        pod: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        container,
        command,
        stdin,
        tty,
    };
    match join(&session, &wish).await? {
        0 => Ok(()),
        code => {
            tell(&format!("command terminated with exit code {code}"));
            Err(Failure::Exit(code))
        }
    }
}

/// `kubectl attach`.
pub(crate) async fn attach(given: &Given<'_>) -> Outcome {
    let [word] = given.args()[..] else {
        return wrong("at least 1 argument is required for attach");
    };
    let session = Session::open(given)?;
    let pod = pods::one(&session, word, PATIENCE).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return wrong(format!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let container = pods::container(&pod, given.text("container"), given.on("quiet")).map_err(|e| Failure::text(format!("cannot attach to the container: {}", e.plain())))?;
    let spec = pod["spec"]["containers"].as_array().into_iter().flatten().find(|c| c["name"] == container.as_str());
    // A container that was started with a terminal is joined with one.
    let has = spec.is_some_and(|c| c["tty"] == true);
    if given.on("tty") && !has {
        tell(&format!("error: Unable to use a TTY - container {container} did not allocate one"));
    }
    let stdin = given.on("stdin");
    if has && stdin && !terminal::is_terminal() {
        tell("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    attach_to(&session, &pod, container, stdin, has && stdin && terminal::is_terminal(), given.on("quiet")).await
}

/// Joins a running container with this terminal.
pub(crate) async fn attach_to(session: &Session, pod: &Value, container: String, stdin: bool, tty: bool, quiet: bool) -> Outcome {
    let wish = Wish {
        namespace: pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        pod: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        container,
        command: Vec::new(),
        stdin,
        tty,
    };
    if !quiet {
        tell("If you don't see a command prompt, try pressing enter.");
    }
    join(session, &wish).await.map(|_| ())
}
