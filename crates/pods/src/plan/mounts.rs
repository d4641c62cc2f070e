//! The bind mounts of a container: its volumes, sub-paths, the managed `/etc/hosts` and the termination log.

use super::container::{MountPlan, Propagation, SubPath};
use super::env::Env;
use super::volume::VolumePlan;
use crate::text::expand;
use kinds::api::core::v1::{Container, VolumeMount};
use std::collections::BTreeMap;

fn sub_path(m: &VolumeMount, vars: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    let path = match (&m.sub_path, &m.sub_path_expr) {
        (Some(p), _) if !p.is_empty() => p.clone(),
        (_, Some(e)) if !e.is_empty() => {
            let path = expand(e, vars);
            if path.contains("$(") {
                return Err(format!("missing value for {e:?}"));
            }
            path
        }
        _ => return Ok(None),
    };
    if path.starts_with('/') {
        return Err(format!("error SubPath `{path}` must not be an absolute path"));
    }
    if path.split('/').any(|p| p == "..") {
        return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
    }
    Ok(Some(path))
}

fn propagation(m: &VolumeMount) -> Propagation {
    match m.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        _ => Propagation::Private,
    }
}

/// A path in a container, absolute (relative ones count from the root).
fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The mounts of a container's volumes.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn volumes(c: &Container, plans: &[VolumePlan], env: &Env) -> Result<Vec<MountPlan>, String> {
    let vars: BTreeMap<String, String> = env.iter().cloned().collect();
    let mut mounts = Vec::new();
    for m in c.volume_mounts.iter().flatten() {
        let Some(v) = plans.iter().find(|v| v.name == m.name) else {
            return Err(format!("cannot find volume \"{}\" to mount into container \"{}\"", m.name, c.name));
        };
        let sub = sub_path(m, &vars)?.map(|path| SubPath { volume: v.path.clone(), path, create: !v.read_only });
        mounts.push(MountPlan {
            container_path: absolute(&m.mount_path),
            host_path: v.path.clone(),
            sub_path: sub,
            readonly: m.read_only == Some(true) || v.read_only,
            recursive_readonly: matches!(m.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
            propagation: propagation(m),
        });
    }
    Ok(mounts)
}
