//! The plain limit of requests in flight, for servers that run without priority and fairness: so many that read, so many
//! that write; administrators are never turned away.

use super::{Entry, Permit, too_many};
use crate::request::RequestInfo;
use rules::User;
use rules::rbac::MASTERS;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests in flight.
pub(super) struct Inflight {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// One of them.
pub(super) struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Inflight {
    pub(super) fn new(reads: u32, writes: u32) -> Self {
        let places = |n: u32| Arc::new(Semaphore::new(n as usize));
        Self { reads: places(reads), writes: places(writes) }
    }

    pub(super) fn enter(&self, user: &User, info: &RequestInfo) -> Entry {
        let places = if matches!(info.verb, "get" | "list" | "watch" | "head") { &self.reads } else { &self.writes };
        if info.is_long_running() {
            return Entry::In(None);
        }
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Entry::In(Some(Permit::inflight(Place(place)))),
            Err(_) if user.in_group(MASTERS) => Entry::In(None),
            Err(_) => Entry::Refused(too_many()),
        }
    }
}
