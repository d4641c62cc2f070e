//! The change feed of the registry's image, for controllers, scheduler and node in this process.

use crate::door::Visitor;
use crate::image::Image;
use cache::{Batch, Interest, Snapshot, Source, Subscription};
use kinds::Revision;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Changes handed out in one batch.
const BATCH_MAX: usize = 1024;

struct Cursor {
    image: Arc<Image>,
    interest: Interest,
    /// `None` until the first batch.
    at: Option<Revision>,
    published: Visitor,
}

/// The image as a source of snapshots and changes.
#[derive(Clone)]
pub struct Feed(pub Arc<Image>);

impl Source for Feed {
    fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    fn subscribe(&self, interest: Interest) -> Box<dyn Subscription> {
        Box::new(Cursor { image: Arc::clone(&self.0), interest, at: None, published: self.0.published() })
    }
}

impl Cursor {
    fn step(&mut self) -> Option<Batch> {
        let Some(at) = self.at else {
            let snapshot = self.image.snapshot();
            self.at = Some(snapshot.revision());
            return Some(Batch { snapshot, changes: Vec::new(), lagged: true });
        };
        let (snapshot, changes) = self.image.all_after(at, BATCH_MAX);
        let Ok(mut changes) = changes else {
            self.at = Some(snapshot.revision());
            return Some(Batch { snapshot, changes: Vec::new(), lagged: true });
        };
        self.at = Some(changes.last().map_or(at, |c| c.revision));
        if let Interest::Only(resources) = &self.interest {
            changes.retain(|c| resources.contains(&c.resource));
        }
        (!changes.is_empty()).then_some(Batch { snapshot, changes, lagged: false })
    }
}

impl Subscription for Cursor {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Batch>> + Send + '_>> {
        Box::pin(async move {
            loop {
                self.published.mark_unchanged();
                let before = self.at;
                if let Some(batch) = self.step() {
                    return Some(batch);
                }
                if self.at == before {
                    self.published.changed().await;
                }
            }
        })
    }
}
