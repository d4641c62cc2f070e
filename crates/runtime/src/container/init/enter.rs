//! Joining a running container (setns(2)): its mount and cgroup namespaces. Network, IPC and host name are the pod's and
//! inherited from the shim; the pid namespace was chosen by the shim before it forked.

use nix::sched::{CloneFlags, setns};

use super::{Init, InitError, doing};

/// Joins, then stands at the container's root.
pub(super) fn join(init: &mut Init) -> Result<(), InitError> {
    for namespace in &init.namespaces {
        setns(namespace, CloneFlags::empty()).map_err(doing("error joining the container's namespaces"))?;
    }
    std::env::set_current_dir("/").map_err(doing("error changing to /"))
}
