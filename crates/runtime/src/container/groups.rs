//! Control groups for the kubelet itself: the tree above the pods (`kubepods`, its QoS levels, a pod), limits and usage by
//! path (Kubernetes "Reserve Compute Resources", pod level resources).

use super::cgroup::Cgroup;
use super::errors;
use crate::cri::{Resources, RuntimeError, Usage};

/// Makes the group at `path` (relative to the root of each hierarchy) and writes the limits that are given.
pub fn set_group(path: &str, resources: &Resources) -> Result<(), RuntimeError> {
    let group = Cgroup::at(path);
    group.create().and_then(|()| group.limit(resources)).map_err(errors::io(format!("set cgroup {path}")))
}

/// What the group and everything below it has used; zeros where it does not exist. The empty path is the whole node.
pub fn group_usage(path: &str) -> Usage {
    Cgroup::at(path).usage()
}

/// Removes the group when it is empty; one that is gone is fine.
pub fn remove_group(path: &str) -> Result<(), RuntimeError> {
    Cgroup::at(path).remove().map_err(errors::io(format!("remove cgroup {path}")))
}
