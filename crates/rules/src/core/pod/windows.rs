//! Pods of Windows nodes: what they may not say, and their own options. Docs: "Windows containers in Kubernetes",
//! "Configure GMSA", "Create a Windows HostProcess Pod".

use crate::checks::complain;
use crate::names;
use crate::read::{items, on};
use kinds::api::core::v1::{Container, PodSpec, SecurityContext, WindowsSecurityContextOptions};
use kinds::{FieldErrors, Path};

const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";
/// The longest description of a managed account, and the longest parts of a user's name.
const CREDENTIAL_SPEC_BYTES_MAX: usize = 64 * 1024;
const USER_MAX: usize = 104;
const DOMAIN_MAX: usize = 256;

/// What depends on the operating system of a pod.
pub(super) fn pod(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    match p.os.as_ref().map(|os| os.name.as_str()) {
        Some("windows") => only_linux(p, path, e),
        Some("linux") => only_windows(p, path, e),
        _ => {}
    }
    if let Some(o) = p.security_context.as_ref().and_then(|c| c.windows_options.as_ref()) {
        options(o, &path.child("securityContext").child("windowsOptions"), e);
    }
    let groups = [("containers", p.containers.as_slice()), ("initContainers", items(&p.init_containers))];
    for (group, list) in groups {
        for (i, c) in list.iter().enumerate() {
            if let Some(o) = c.security_context.as_ref().and_then(|c| c.windows_options.as_ref()) {
                options(o, &path.child(group).index(i).child("securityContext").child("windowsOptions"), e);
            }
        }
    }
    host_process(p, path, e);
}

/// What only Windows knows, of the pod and of its containers.
fn only_windows(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    const NOT_ON_LINUX: &str = "windows options cannot be set for a linux pod";
    let at = path.child("securityContext").child("windowsOptions");
    if p.security_context.as_ref().is_some_and(|c| c.windows_options.is_some()) {
        e.forbidden(&at, NOT_ON_LINUX);
    }
    let set = |c: Option<&SecurityContext>| c.is_some_and(|c| c.windows_options.is_some());
    let of = |list: &[Container]| list.iter().map(|c| set(c.security_context.as_ref())).collect::<Vec<_>>();
    let ephemeral = items(&p.ephemeral_containers).iter().map(|c| set(c.security_context.as_ref())).collect();
    for (group, list) in [("initContainers", of(items(&p.init_containers))), ("containers", of(&p.containers)), ("ephemeralContainers", ephemeral)] {
        for (i, _) in list.iter().enumerate().filter(|(_, set)| **set) {
            e.forbidden(&path.child(group).index(i).child("securityContext").child("windowsOptions"), NOT_ON_LINUX);
        }
    }
}

/// What only Linux knows, of the pod and of its containers.
fn only_linux(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(c) = &p.security_context {
        let at = path.child("securityContext");
        for (name, set) in [
            ("appArmorProfile", c.app_armor_profile.is_some()),
            ("seLinuxOptions", c.se_linux_options.is_some()),
            ("seccompProfile", c.seccomp_profile.is_some()),
            ("fsGroup", c.fs_group.is_some()),
            ("fsGroupChangePolicy", c.fs_group_change_policy.is_some()),
            ("sysctls", !items(&c.sysctls).is_empty()),
            ("runAsUser", c.run_as_user.is_some()),
            ("runAsGroup", c.run_as_group.is_some()),
            ("supplementalGroups", c.supplemental_groups.is_some()),
            ("supplementalGroupsPolicy", c.supplemental_groups_policy.is_some()),
            ("seLinuxChangePolicy", c.se_linux_change_policy.is_some()),
        ] {
            if set {
                e.forbidden(&at.child(name), NOT_ON_WINDOWS);
            }
        }
    }
    for (name, set) in [
        ("hostPID", on(p.host_pid)),
        ("hostIPC", on(p.host_ipc)),
        ("hostUsers", p.host_users.is_some()),
        ("shareProcessNamespace", p.share_process_namespace.is_some()),
    ] {
        if set {
            e.forbidden(&path.child(name), NOT_ON_WINDOWS);
        }
    }
    if p.resources.is_some() {
        e.forbidden(&path.child("resources"), "may not be set for a windows pod");
    }
    let groups = [("containers", p.containers.as_slice()), ("initContainers", items(&p.init_containers))];
    for (group, list) in groups {
        for (i, c) in list.iter().enumerate() {
            if let Some(c) = &c.security_context {
                container_only_linux(c, &path.child(group).index(i).child("securityContext"), e);
            }
        }
    }
}

fn container_only_linux(c: &SecurityContext, at: &Path, e: &mut FieldErrors) {
    for (name, set) in [
        ("appArmorProfile", c.app_armor_profile.is_some()),
        ("seLinuxOptions", c.se_linux_options.is_some()),
        ("seccompProfile", c.seccomp_profile.is_some()),
        ("capabilities", c.capabilities.is_some()),
        ("readOnlyRootFilesystem", c.read_only_root_filesystem.is_some()),
        ("privileged", c.privileged.is_some()),
        ("allowPrivilegeEscalation", c.allow_privilege_escalation.is_some()),
        ("procMount", c.proc_mount.is_some()),
        ("runAsUser", c.run_as_user.is_some()),
        ("runAsGroup", c.run_as_group.is_some()),
    ] {
        if set {
            e.forbidden(&at.child(name), NOT_ON_WINDOWS);
        }
    }
}

/// The account that processes run as.
fn options(o: &WindowsSecurityContextOptions, at: &Path, e: &mut FieldErrors) {
    if let Some(name) = &o.gmsa_credential_spec_name {
        complain(&at.child("gmsaCredentialSpecName"), name, names::dns_subdomain(name), e);
    }
    if let Some(spec) = &o.gmsa_credential_spec {
        let at = at.child("gmsaCredentialSpec");
        if spec.is_empty() {
            e.invalid(&at, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > CREDENTIAL_SPEC_BYTES_MAX {
            e.invalid(&at, spec, format!("gmsaCredentialSpec size must be under {} KiB", CREDENTIAL_SPEC_BYTES_MAX / 1024));
        }
    }
    if let Some(user) = &o.run_as_user_name {
        user_name(user, &at.child("runAsUserName"), e);
    }
}

fn user_name(user: &str, at: &Path, e: &mut FieldErrors) {
    if user.is_empty() {
        e.invalid(at, user, "runAsUserName cannot be an empty string");
        return;
    }
    if user.chars().any(char::is_control) {
        e.invalid(at, user, "runAsUserName cannot contain control characters");
    }
    let parts: Vec<&str> = user.split('\\').collect();
    let (domain, name) = match parts[..] {
        [name] => (None, name),
        [domain, name] => (Some(domain), name),
        _ => {
            e.invalid(at, user, "runAsUserName cannot contain more than one backslash");
            return;
        }
    };
    if let Some(domain) = domain {
        if domain.is_empty() {
            e.invalid(at, user, "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format");
        } else if domain.len() >= DOMAIN_MAX {
            e.invalid(at, user, format!("runAsUserName's Domain length must be under {DOMAIN_MAX} characters"));
        }
    }
    if name.is_empty() {
        e.invalid(at, user, "runAsUserName's User cannot be empty");
    } else if name.len() > USER_MAX {
        e.invalid(at, user, format!("runAsUserName's User length must not be longer than {USER_MAX} characters"));
    }
    const FORBIDDEN: &str = "\"/\\:;|=,+*?<>@[]";
    if name.chars().any(|c| FORBIDDEN.contains(c)) {
        e.invalid(at, user, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
    }
}

/// Containers that run as processes of the host: all or none of a pod, and on its network.
fn host_process(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let of_pod = p.security_context.as_ref().and_then(|c| c.windows_options.as_ref()).and_then(|o| o.host_process);
    let own = |c: &Container| c.security_context.as_ref().and_then(|c| c.windows_options.as_ref()).and_then(|o| o.host_process);
    let all = || p.containers.iter().chain(items(&p.init_containers));
    let is = |c: &Container| own(c).or(of_pod).unwrap_or(false);
    if !all().any(is) {
        return;
    }
    if !all().all(is) {
        e.invalid(path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers");
    }
    if !on(p.host_network) {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        e.invalid(&path.child("hostNetwork"), false, why);
    }
}
