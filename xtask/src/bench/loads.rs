//! Many requests at once, timed one by one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use tokio::task::JoinSet;

use super::table::Times;

/// What a load came to.
pub(super) struct Load {
    pub(super) per_second: f64,
    pub(super) times: Times,
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}/s, {}", self.per_second, self.times.halves())
    }
}

/// Runs `one(i)` for every `i` below `count`, so many at the same time.
pub(super) async fn load<F, T>(count: usize, at_once: usize, one: F) -> Result<Load>
where
    F: Fn(usize) -> T + Clone + Send + 'static,
    T: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (next, one) = (Arc::clone(&next), one.clone());
        workers.spawn(async move {
            let mut times = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return anyhow::Ok(times);
                }
                let at = Instant::now();
                one(i).await?;
                times.push(at.elapsed().as_secs_f64());
            }
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(worker) = workers.join_next().await {
        times.extend(worker??);
    }
    let took = begun.elapsed().as_secs_f64();
    let done = u32::try_from(times.len())?;
    Ok(Load { per_second: f64::from(done) / took, times: Times::new(times) })
}
