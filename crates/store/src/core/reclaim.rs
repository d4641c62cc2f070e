//! Which sealed log segments to rewrite: a run of neighbours whose living records fit into one segment, if that frees
//! enough or makes many small files one.
//!
//! A tombstone that compaction has dropped must stay in the log as long as an older segment still holds a write of that
//! key, else that write would come back to life at the next start: tombstones go only when everything older is clean.

/// What a plan needs to know of a sealed segment, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wear {
    /// Its number.
    pub(crate) id: u32,
    /// Bytes of records, living or not.
    pub(crate) total_bytes: u64,
    /// Bytes of records that the index knows.
    pub(crate) live_bytes: u64,
    /// Bytes of tombstones that the last rewrite had to keep although the index forgot them.
    pub(crate) kept_bytes: u64,
    /// Writes (not tombstones) that are dead but still in the file.
    pub(crate) dead_puts: u64,
}

/// The segments to rewrite into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Their numbers, neighbours, oldest first.
    pub(crate) ids: Vec<u32>,
    /// Whether forgotten tombstones may go.
    pub(crate) drop_tombstones: bool,
}

/// So many neighbours that fit into one file are merged even if nothing in them is dead.
const MERGE_SEGMENTS: usize = 8;

/// Chooses the oldest run worth its writing, if any. `target_bytes` is what one segment may hold.
pub(crate) fn plan(segments: &[Wear], target_bytes: u64) -> Option<Run> {
    (0..segments.len()).find_map(|first| {
        let drop_tombstones = segments[..first].iter().all(|s| s.dead_puts == 0);
        let longest = longest_run(&segments[first..], target_bytes, drop_tombstones);
        let run = (1..=longest.len()).rev().map(|n| &longest[..n]).find(|run| worth(run, drop_tombstones))?;
        Some(Run { ids: run.iter().map(|s| s.id).collect(), drop_tombstones })
    })
}

fn worth(run: &[Wear], drop_tombstones: bool) -> bool {
    let total: u64 = run.iter().map(|s| s.total_bytes).sum();
    let freed: u64 = run.iter().map(|s| s.total_bytes - remains(s, drop_tombstones)).sum();
    (freed > 0 && freed * 2 >= total) || run.len() >= MERGE_SEGMENTS
}

fn longest_run(segments: &[Wear], target_bytes: u64, drop_tombstones: bool) -> &[Wear] {
    let mut sum = 0;
    let fits = segments.iter().take_while(|s| {
        sum += remains(s, drop_tombstones);
        sum <= target_bytes
    });
    &segments[..fits.count()]
}

/// An estimate of what a rewrite leaves: tombstones that die now are not told apart from writes, so it may leave more.
fn remains(segment: &Wear, drop_tombstones: bool) -> u64 {
    segment.live_bytes + if drop_tombstones { 0 } else { segment.kept_bytes }
}
