//! Which of the nodes that can do is the best: weighted sums of normalized scores, ties broken by chance.

use crate::cycle::Turn;
use crate::framework::World;
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::profile::Profile;

/// The next number of a seeded sequence (splitmix64).
pub(crate) fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sum of all weighted scores, in the order of the nodes.
#[must_use]
pub fn totals(world: &World<'_>, profile: &Profile, pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<i64> {
    let mut totals = vec![0; nodes.len()];
    for (weight, plugin) in &profile.scores {
        let Some(ready) = plugin.ready(pod, nodes, world) else { continue };
        for (t, s) in totals.iter_mut().zip(ready.scores(pod, nodes, world)) {
            *t += weight * s;
        }
    }
    totals
}

/// The best node.
///
/// # Panics
/// Never: `nodes` is not empty.
pub(crate) fn best<'a>(
    world: &World<'_>,
    profile: &Profile,
    pod: &PodInfo,
    nodes: &[&'a NodeInfo],
    turn: &mut Turn,
) -> &'a NodeInfo {
    let totals = totals(world, profile, pod, nodes);
    let (mut best, mut ties) = (0, 1);
    for i in 1..nodes.len() {
        if totals[i] > totals[best] {
            (best, ties) = (i, 1);
        } else if totals[i] == totals[best] {
            ties += 1;
            if next_random(&mut turn.seed) % ties == 0 {
                best = i;
            }
        }
    }
    nodes[best]
}
