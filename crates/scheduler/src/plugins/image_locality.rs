//! ImageLocality: nodes that have the pod's images already are better, the more so the larger the images are and the
//! more widely they are spread (so that pods do not all heat one node).

use crate::event::Event;
use crate::framework::{Plugin, SCORE_MAX, Score, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;

/// Its name.
pub const NAME: &str = "ImageLocality";
const MIN_BYTES: i64 = 23 * 1024 * 1024;
const MAX_BYTES_A_CONTAINER: i64 = 1000 * 1024 * 1024;

/// The plugin.
pub struct ImageLocality;

/// An image's name with its tag, `latest` if it has none.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, _: &Event, _: &PodInfo, _: &World<'_>) -> bool {
        false
    }
}

impl Score for ImageLocality {
    /// Image names and on which share of the nodes each is.
    type Pre = Vec<(String, f64)>;
    #[allow(clippy::cast_precision_loss)]
    fn prepare(&self, pod: &PodInfo, _: &[&NodeInfo], world: &World<'_>) -> Option<Self::Pre> {
        let spec = pod.spec();
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|c| c.image.as_deref());
        let volumes = pod.volumes().iter().filter_map(|v| v.image.as_ref()?.reference.as_deref());
        let total = world.nodes.len().max(1) as f64;
        let share = |i: &str| {
            let name = tagged(i);
            let n = world.nodes.nodes_with_image(&name) as f64;
            (name, n / total)
        };
        let shares: Vec<_> = containers.chain(volumes).map(share).collect();
        shares.iter().any(|(_, share)| *share > 0.0).then_some(shares)
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score(&self, pre: &Self::Pre, _: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        let bytes = |(name, share): &(String, f64)| node.images.get(name).map_or(0, |size| (*size as f64 * share) as i64);
        let sum: i64 = pre.iter().map(bytes).sum();
        let max = MAX_BYTES_A_CONTAINER.saturating_mul(i64::try_from(pre.len()).unwrap_or(1));
        if max <= MIN_BYTES { 0 } else { SCORE_MAX * (sum.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES) }
    }
}
