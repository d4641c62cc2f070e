//! A mutex whose lock outlives a panic: what it guards here is a socket, which no panic can leave half-changed.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that is never poisoned.
#[derive(Debug)]
pub(super) struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
