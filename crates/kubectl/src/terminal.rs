//! The terminal of the person: raw mode while a session runs, its size and its changes.

use rustix::termios::{self, OptionalActions, Termios};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Raw mode; the terminal gets its old settings back when this goes.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Makes the terminal of standard input raw, if it is one.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        let old = termios::tcgetattr(&stdin).ok()?;
        let mut raw = old.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(old))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    rustix::termios::isatty(std::io::stdin())
}

fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(std::io::stdout()).or_else(|_| termios::tcgetwinsize(std::io::stdin())).ok()?;
    (size.ws_col > 0).then_some((size.ws_col, size.ws_row))
}

/// The terminal's size, now and whenever it changes.
pub(crate) fn sizes(terminal: bool) -> mpsc::Receiver<(u16, u16)> {
    let (send, receive) = mpsc::channel(4);
    if terminal {
        tokio::spawn(async move {
            let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
            loop {
                if let Some(size) = size()
                    && send.send(size).await.is_err()
                {
                    return;
                }
                changes.recv().await;
            }
        });
    }
    receive
}
