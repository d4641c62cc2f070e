//! How failures are worded. What users see in `kubectl describe` are the words of containerd and runc, because people and
//! tools search for them.

use std::io;

use crate::cri::RuntimeError;
use crate::shim::wire::Failure;

/// The whole sentence of a container that could not be started.
pub(crate) fn start_error(text: &str) -> String {
    format!("failed to create containerd task: {}", start_cause(text))
}

fn start_cause(text: &str) -> String {
    format!(
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: \
         {text}: unknown"
    )
}

/// For `map_err`: an input or output error with what was being done.
pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> RuntimeError {
    let doing = doing.into();
    move |source| RuntimeError::Io { doing, source }
}

/// A failed start.
pub(super) fn of_start(failure: Failure) -> RuntimeError {
    match failure {
        Failure::Start(text) => RuntimeError::StartContainer(start_cause(&text)),
        other => RuntimeError::StartContainer(text(other)),
    }
}

/// A failed command.
pub(super) fn of_exec(failure: Failure, container: &str) -> RuntimeError {
    match failure {
        Failure::Start(text) => RuntimeError::Internal(format!(
            "failed to exec in container: failed to start exec in {container:?}: OCI runtime exec failed: exec failed: \
             unable to start container process: {text}: unknown"
        )),
        other => of_call(other),
    }
}

/// Any other failed call.
pub(super) fn of_call(failure: Failure) -> RuntimeError {
    match failure {
        Failure::NotFound(what) => RuntimeError::NotFound { what },
        other => RuntimeError::Internal(text(other)),
    }
}

fn text(failure: Failure) -> String {
    match failure {
        Failure::NotFound(what) => format!("{what} not found"),
        Failure::Start(text) | Failure::Other(text) => text,
    }
}
