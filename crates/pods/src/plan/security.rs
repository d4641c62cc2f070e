//! The security context of a container, resolved from the pod's, its own and the image's user
//! (docs: "Configure a security context").

use crate::roster;
use crate::text::pod_text;
use crate::view::ImageFacts;
use kinds::api::core::v1::{AppArmorProfile, Container, Pod, SeccompProfile};

/// A profile that confines a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Confinement {
    #[default]
    RuntimeDefault,
    Unconfined,
    Localhost(String),
}

/// The resolved context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityPlan {
    pub privileged: bool,
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_username: Option<String>,
    pub supplemental_groups: Vec<i64>,
    pub supplemental_groups_strict: bool,
    pub readonly_rootfs: bool,
    pub no_new_privs: bool,
    pub seccomp: Confinement,
    pub apparmor: Confinement,
    pub unmasked_proc: bool,
}

fn seccomp(p: Option<&SeccompProfile>, default: Confinement) -> Confinement {
    match p.map(|p| (p.type_.as_str(), p.localhost_profile.clone())) {
        Some(("RuntimeDefault", _)) => Confinement::RuntimeDefault,
        Some(("Localhost", Some(file))) => Confinement::Localhost(file),
        Some(("Unconfined", _)) => Confinement::Unconfined,
        _ => default,
    }
}

fn apparmor(p: Option<&AppArmorProfile>) -> Confinement {
    match p.map(|p| (p.type_.as_str(), p.localhost_profile.clone())) {
        Some(("Localhost", Some(name))) => Confinement::Localhost(name),
        Some(("Unconfined", _)) => Confinement::Unconfined,
        _ => Confinement::RuntimeDefault,
    }
}

/// The user that counts: the container's, the pod's, the image's.
fn effective_user(pod: &Pod, c: &Container) -> Option<i64> {
    let own = c.security_context.as_ref().and_then(|s| s.run_as_user);
    own.or_else(|| roster::spec(pod).security_context.as_ref().and_then(|s| s.run_as_user))
}

/// Whether a container that must not run as root would.
fn verify_non_root(pod: &Pod, c: &Container, image: &ImageFacts) -> Result<(), String> {
    let own = c.security_context.as_ref().and_then(|s| s.run_as_non_root);
    let must = own.or_else(|| roster::spec(pod).security_context.as_ref().and_then(|s| s.run_as_non_root));
    if must != Some(true) {
        return Ok(());
    }
    let place = format!("(pod: \"{}\", container: {})", pod_text(pod), c.name);
    match (effective_user(pod, c), image.uid, image.username.as_deref().filter(|u| !u.is_empty())) {
        (Some(0), ..) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        (Some(_), ..) => Ok(()),
        (None, Some(0), _) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        (None, None, Some(name)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {place}"
        )),
        (None, None, None) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        (None, Some(_), _) => Ok(()),
    }
}

/// The context of a container.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn resolve(pod: &Pod, c: &Container, image: &ImageFacts) -> Result<SecurityPlan, String> {
    verify_non_root(pod, c, image)?;
    let whole = roster::spec(pod).security_context.clone().unwrap_or_default();
    let own = c.security_context.clone().unwrap_or_default();
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let user = effective_user(pod, c);
    let mut groups = whole.supplemental_groups.clone().unwrap_or_default();
    groups.extend(whole.fs_group.filter(|g| !groups.contains(g)));
    let privileged = own.privileged == Some(true);
    let strip = |names: Option<Vec<String>>| -> Vec<String> { names.unwrap_or_default() };
    let unset = if privileged { Confinement::Unconfined } else { Confinement::RuntimeDefault };
    Ok(SecurityPlan {
        privileged,
        add_capabilities: strip(capabilities.add),
        drop_capabilities: strip(capabilities.drop),
        run_as_user: user.or(image.uid),
        run_as_group: own.run_as_group.or(whole.run_as_group),
        run_as_username: if user.is_none() && image.uid.is_none() { image.username.clone() } else { None },
        supplemental_groups: groups,
        supplemental_groups_strict: whole.supplemental_groups_policy.as_deref() == Some("Strict"),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        seccomp: seccomp(own.seccomp_profile.as_ref().or(whole.seccomp_profile.as_ref()), unset),
        apparmor: apparmor(own.app_armor_profile.as_ref().or(whole.app_armor_profile.as_ref())),
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    })
}
