//! How a command fails: what is printed, in kubectl's words, and the exit code.

use indexmap::IndexSet;
use client::Error;
use kinds::ApiError;
use kinds::error::Details;

/// A failure of a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// `error: text`.
    Text(String),
    /// The text as it is.
    Bare(String),
    /// A wrong command line: text and a hint at the help and examples of that command.
    Usage(String, String),
    /// A wrong flag: text and a hint at the usage of that command.
    Flag(String, String),
    /// From the client, with what we were doing (`error when creating "x.yaml"`).
    Client(Error, String),
    /// Several, each printed.
    Many(Vec<Failure>),
    /// Everything was said already.
    Exit(i32),
}

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// A failure of plain words.
pub(crate) fn wrong<T>(text: impl Into<String>) -> Outcome<T> {
    Err(Failure::Text(text.into()))
}

/// A file that cannot be opened, as Go says it.
pub(crate) fn opening(path: &str, e: &std::io::Error) -> String {
    let why = match e.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => e.to_string(),
    };
    format!("open {path}: {why}")
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Client(e, String::new())
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::Text(e.to_string())
    }
}

impl Failure {
    /// A failure of plain words.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>, command: &str) -> Self {
        Self::Usage(text.into(), command.to_owned())
    }

    /// A wrong flag.
    pub(crate) fn flag(text: impl Into<String>, command: &str) -> Self {
        Self::Flag(text.into(), command.to_owned())
    }

    /// Adds what we were doing.
    pub(crate) fn doing(self, what: impl FnOnce() -> String) -> Self {
        match self {
            Self::Client(e @ Error::Api(_), _) => Self::Client(e, what()),
            other => other,
        }
    }

    /// The server's message alone, or everything.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Client(e, _) => e.to_string(),
            other => other.message().trim_start_matches("error: ").to_owned(),
        }
    }

    /// Whether the server said that the object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Client(e, _) if e.is_not_found())
    }

    /// One failure of many, or none.
    pub(crate) fn collect(mut all: Vec<Failure>) -> Outcome {
        match all.len() {
            0 => Ok(()),
            1 => Err(all.remove(0)),
            _ => Err(Self::Many(all)),
        }
    }

    /// What is printed on standard error.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Text(text) if text.starts_with("error: ") => text.clone(),
            Self::Text(text) => format!("error: {text}"),
            Self::Bare(text) => text.clone(),
            Self::Usage(text, command) => format!("error: {text}\nSee 'kubectl{}{command} -h' for help and examples", if command.is_empty() { "" } else { " " }),
            Self::Flag(text, command) => format!("error: {text}\nSee 'kubectl{}{command} --help' for usage.", if command.is_empty() { "" } else { " " }),
            Self::Client(Error::Api(e), doing) => api(e, doing),
            Self::Client(Error::Config(text), _) => if text.starts_with("error: ") { text.clone() } else { format!("error: {text}") },
            Self::Client(Error::Answer(text), _) => format!("error: {text}"),
            Self::Client(e, _) => e.to_string(),
            Self::Many(all) => {
                // What went wrong twice in the same words is told once.
                let mut lines: Vec<String> = Vec::new();
                for text in all.iter().map(Self::message) {
                    if !lines.contains(&text) {
                        lines.push(text);
                    }
                }
                lines.join("\n")
            }
            Self::Exit(_) => String::new(),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Exit(code) => *code,
            _ => 1,
        }
    }
}

fn api(e: &ApiError, doing: &str) -> String {
    if e.reason == "Unauthorized" {
        return "error: You must be logged in to the server (Unauthorized)".to_owned();
    }
    let details = e.details.as_deref();
    let told = |d: &&Details| !d.kind.is_empty() || !d.causes.is_empty();
    if e.reason == "Invalid" && let Some(details) = details.filter(told) {
        let what = match (&*details.kind, &*details.name) {
            ("", _) => "request".to_owned(),
            (kind, "") => kind.to_owned(),
            (kind, name) => format!("{kind} \"{name}\""),
        };
        // An update can be told of the same thing by two rules.
        let causes: IndexSet<String> = details.causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let causes: Vec<String> = causes.into_iter().collect();
        return match &causes[..] {
            [] => format!("The {what} is invalid"),
            [one] => format!("The {what} is invalid: {one}"),
            many => format!("The {what} is invalid: \n* {}", many.join("\n* ")),
        };
    }
    if e.reason == "Invalid" && doing.is_empty() {
        return format!("The request is invalid: {}", e.message);
    }
    let message = if doing.is_empty() { e.message.clone() } else { format!("{doing}: {}", e.message) };
    if e.reason.is_empty() { format!("Error from server: {message}") } else { format!("Error from server ({}): {message}", e.reason) }
}
