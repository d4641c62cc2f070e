//! The controls of the two levels, each with the words of its refusal.

use crate::core::pod::default::to_container;
use crate::read::{items, on, s};
use kinds::ObjectMeta;
use kinds::api::core::v1::{Container, PodSpec, SELinuxOptions, SecurityContext, Volume};
use std::collections::BTreeSet;

fn containers(spec: &PodSpec) -> Vec<Container> {
    let plain = items(&spec.init_containers).iter().chain(&spec.containers).cloned();
    plain.chain(items(&spec.ephemeral_containers).iter().map(|e| to_container(e.clone()).0)).collect()
}

fn quoted<T: AsRef<str>>(list: &[T]) -> String {
    list.iter().map(|x| format!("{:?}", x.as_ref())).collect::<Vec<_>>().join(", ")
}

fn plural<'a>(one: &'a str, more: &'a str, n: usize) -> &'a str {
    if n == 1 { one } else { more }
}

/// `container "a"`, `containers "a", "b"`.
fn which(names: &[String]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

fn context(c: &Container) -> SecurityContext {
    c.security_context.clone().unwrap_or_default()
}

fn names(list: &[Container], bad: impl Fn(&Container) -> bool) -> Vec<String> {
    list.iter().filter(|c| bad(c)).map(|c| c.name.clone()).collect()
}

const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT",
];
/// Sysctls that are safe, and the minor version of the standard that says so first.
const SAFE_SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];
/// The same of SELinux types.
const SELINUX_TYPES: &[(&str, u32)] =
    &[("", 0), ("container_init_t", 0), ("container_kvm_t", 0), ("container_t", 0), ("container_engine_t", 31)];
/// Since this version what a user namespace contains is not asked of its pods.
const USER_NAMESPACES: u32 = 35;
/// Since this version Windows is not asked for what it does not have.
const WINDOWS_EXEMPT: u32 = 25;

fn knows(list: &[(&str, u32)], name: &str, version: u32) -> bool {
    list.iter().any(|(n, since)| *n == name && *since <= version)
}

/// Whether the version asks less of this pod, because its users are not the node's.
fn relaxed(spec: &PodSpec, version: u32) -> bool {
    version >= USER_NAMESPACES && spec.host_users == Some(false)
}

/// The controls of `baseline` in the minor version. Those that `restricted` replaces are left out when it follows.
pub(super) fn baseline(meta: Option<&ObjectMeta>, spec: &PodSpec, version: u32, replaced: bool, all: &mut Vec<String>) {
    let list = containers(spec);
    app_armor(meta, spec, &list, all);
    if !replaced || version < 22 {
        capabilities(&list, all);
    }
    let shared: Vec<&str> = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)]
        .into_iter()
        .filter(|(_, v)| on(*v))
        .map(|(n, _)| n)
        .collect();
    if !shared.is_empty() {
        let text = shared.iter().map(|n| format!("{n}=true")).collect::<Vec<_>>().join(", ");
        all.push(format!("host namespaces ({text})"));
    }
    if !replaced {
        let volumes: Vec<&String> = items(&spec.volumes).iter().filter(|v| v.host_path.is_some()).map(|v| &v.name).collect();
        if !volumes.is_empty() {
            all.push(format!("hostPath volumes ({} {})", plural("volume", "volumes", volumes.len()), quoted(&volumes)));
        }
    }
    host_ports(&list, all);
    if version >= 34 {
        probe_hosts(&list, all);
    }
    let bad = names(&list, |c| on(context(c).privileged));
    if !bad.is_empty() {
        all.push(format!("privileged ({} must not set securityContext.privileged=true)", which(&bad)));
    }
    if (!replaced || version < USER_NAMESPACES) && !relaxed(spec, version) {
        proc_mount(&list, all);
    }
    selinux(spec, &list, version, all);
    if !replaced || version < 19 {
        seccomp(spec, &list, all);
    }
    let sysctls: Vec<&str> = spec
        .security_context
        .iter()
        .flat_map(|c| items(&c.sysctls))
        .map(|x| x.name.as_str())
        .filter(|n| !knows(SAFE_SYSCTLS, n, version))
        .collect();
    if !sysctls.is_empty() {
        all.push(format!("forbidden sysctls ({})", sysctls.join(", ")));
    }
    let windows = |o: &Option<kinds::api::core::v1::WindowsSecurityContextOptions>| o.as_ref().is_some_and(|w| on(w.host_process));
    let bad = names(&list, |c| windows(&context(c).windows_options));
    let pod = spec.security_context.as_ref().is_some_and(|c| windows(&c.windows_options));
    if pod || !bad.is_empty() {
        all.push(format!("hostProcess ({} must not set securityContext.windowsOptions.hostProcess=true)", setters(pod, &bad)));
    }
}

fn proc_mount(list: &[Container], all: &mut Vec<String>) {
    let bad = names(list, |c| context(c).proc_mount.is_some_and(|p| p != "Default"));
    if !bad.is_empty() {
        let kinds: BTreeSet<String> = list.iter().filter_map(|c| context(c).proc_mount).filter(|p| p != "Default").collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        all.push(format!("procMount ({} must not set securityContext.procMount to {})", which(&bad), quoted(&kinds)));
    }
}

/// The hosts that a container's probes and hooks are sent to, where they are not its pod.
fn hosts(c: &Container) -> Vec<&String> {
    let probes = [&c.liveness_probe, &c.readiness_probe, &c.startup_probe].into_iter().flatten().map(|p| (&p.http_get, &p.tcp_socket));
    let hooks = c.lifecycle.iter().flat_map(|l| [&l.post_start, &l.pre_stop]).flatten().map(|h| (&h.http_get, &h.tcp_socket));
    let mut found = Vec::new();
    for (http, tcp) in probes.chain(hooks) {
        found.extend(http.as_ref().and_then(|h| h.host.as_ref()));
        found.extend(tcp.as_ref().and_then(|t| t.host.as_ref()));
    }
    found.retain(|h| !h.is_empty());
    found
}

fn probe_hosts(list: &[Container], all: &mut Vec<String>) {
    let bad: BTreeSet<&String> = list.iter().filter(|c| !hosts(c).is_empty()).map(|c| &c.name).collect();
    if bad.is_empty() {
        return;
    }
    let bad: Vec<String> = bad.into_iter().cloned().collect();
    let forbidden: Vec<&String> = list.iter().flat_map(hosts).collect::<BTreeSet<_>>().into_iter().collect();
    let (verb, noun) = (plural("uses", "use", bad.len()), plural("probe or lifecycle host", "probe or lifecycle hosts", forbidden.len()));
    all.push(format!("probe or lifecycle host ({} {verb} {noun} {})", which(&bad), quoted(&forbidden)));
}

/// `pod`, `container "a"`, `pod and container "a"`.
fn setters(pod: bool, bad: &[String]) -> String {
    match (pod, bad.is_empty()) {
        (true, true) => "pod".into(),
        (true, false) => format!("pod and {}", which(bad)),
        _ => which(bad),
    }
}

fn app_armor(meta: Option<&ObjectMeta>, spec: &PodSpec, list: &[Container], all: &mut Vec<String>) {
    let mut bad = Vec::new();
    let pod = spec.security_context.as_ref().and_then(|c| c.app_armor_profile.as_ref());
    if pod.is_some_and(|p| p.type_ == "Unconfined") {
        bad.push("pod must not set AppArmor profile type to \"Unconfined\"".to_owned());
    }
    let own = names(list, |c| context(c).app_armor_profile.is_some_and(|p| p.type_ == "Unconfined"));
    if !own.is_empty() {
        bad.push(format!("{} must not set AppArmor profile type to \"Unconfined\"", which(&own)));
    }
    for (k, v) in meta.into_iter().flat_map(|m| m.annotations.iter().flatten()) {
        if k.starts_with("container.apparmor.security.beta.kubernetes.io/") && !v.is_empty() && v != "runtime/default" && !v.starts_with("localhost/") {
            bad.push(format!("annotation must not set AppArmor profile type to \"{k}={v:?}\""));
        }
    }
    if !bad.is_empty() {
        let noun = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", bad.len());
        all.push(format!("{noun} ({})", bad.join(" and ")));
    }
}

fn added(list: &[Container], allowed: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut extra = BTreeSet::new();
    let bad = names(list, |c| {
        context(c).capabilities.is_some_and(|x| items(&x.add).iter().any(|a| !allowed.contains(&a.as_str())))
    });
    for c in list {
        extra.extend(context(c).capabilities.and_then(|x| x.add).unwrap_or_default().into_iter().filter(|a| !allowed.contains(&a.as_str())));
    }
    (bad, extra.into_iter().collect())
}

fn capabilities(list: &[Container], all: &mut Vec<String>) {
    let (bad, extra) = added(list, DEFAULT_CAPABILITIES);
    if !bad.is_empty() {
        let what = format!("must not include {} in securityContext.capabilities.add", quoted(&extra));
        all.push(format!("non-default capabilities ({} {what})", which(&bad)));
    }
}

fn host_ports(list: &[Container], all: &mut Vec<String>) {
    let ports_of = |c: &Container| -> Vec<i32> { items(&c.ports).iter().filter_map(|p| p.host_port).filter(|p| *p != 0).collect() };
    let bad = names(list, |c| !ports_of(c).is_empty());
    if bad.is_empty() {
        return;
    }
    let ports: BTreeSet<i32> = list.iter().flat_map(ports_of).collect();
    let text = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let verb = plural("uses", "use", bad.len());
    all.push(format!("hostPort ({} {verb} {} {text})", which(&bad), plural("hostPort", "hostPorts", ports.len())));
}

fn selinux(spec: &PodSpec, list: &[Container], version: u32, all: &mut Vec<String>) {
    let bad_type = |o: &SELinuxOptions| !knows(SELINUX_TYPES, s(&o.type_), version);
    let broken = |o: &Option<SELinuxOptions>| o.as_ref().is_some_and(|o| bad_type(o) || !s(&o.user).is_empty() || !s(&o.role).is_empty());
    let pod_options = spec.security_context.as_ref().and_then(|c| c.se_linux_options.clone());
    let pod = broken(&pod_options);
    let bad = names(list, |c| broken(&context(c).se_linux_options));
    if !pod && bad.is_empty() {
        return;
    }
    let options = pod_options.into_iter().chain(list.iter().filter_map(|c| context(c).se_linux_options)).collect::<Vec<_>>();
    let types: BTreeSet<String> = options.iter().filter(|o| bad_type(o)).map(|o| s(&o.type_).to_owned()).collect();
    let types: Vec<String> = types.into_iter().collect();
    let mut parts = Vec::new();
    if !types.is_empty() {
        parts.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if options.iter().any(|o| !s(&o.user).is_empty()) {
        parts.push("user may not be set".into());
    }
    if options.iter().any(|o| !s(&o.role).is_empty()) {
        parts.push("role may not be set".into());
    }
    all.push(format!("seLinuxOptions ({} set forbidden securityContext.seLinuxOptions: {})", setters(pod, &bad), parts.join("; ")));
}

fn seccomp(spec: &PodSpec, list: &[Container], all: &mut Vec<String>) {
    let broken = |p: Option<&kinds::api::core::v1::SeccompProfile>| p.is_some_and(|p| p.type_ == "Unconfined");
    let pod = broken(spec.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref()));
    let bad = names(list, |c| broken(context(c).seccomp_profile.as_ref()));
    if pod || !bad.is_empty() {
        all.push(format!("seccompProfile ({} must not set securityContext.seccompProfile.type to \"Unconfined\")", setters(pod, &bad)));
    }
}

/// The controls that `restricted` adds, in the minor version.
pub(super) fn restricted(spec: &PodSpec, version: u32, all: &mut Vec<String>) {
    let windows = version >= WINDOWS_EXEMPT && spec.os.as_ref().is_some_and(|o| o.name == "windows");
    let list = containers(spec);
    if !windows && version >= 8 {
        let bad = names(&list, |c| context(c).allow_privilege_escalation != Some(false));
        if !bad.is_empty() {
            let what = "must set securityContext.allowPrivilegeEscalation=false";
            all.push(format!("allowPrivilegeEscalation != false ({} {what})", which(&bad)));
        }
    }
    if !windows && version >= 22 {
        unrestricted(&list, all);
    }
    if version >= USER_NAMESPACES {
        proc_mount(&list, all);
    }
    volumes(spec, all);
    if !relaxed(spec, version) {
        non_root(spec, &list, all);
        if version >= 23 {
            run_as_user(spec, &list, all);
        }
    }
    if !windows && version >= 19 {
        seccomp_set(spec, &list, all);
    }
}

fn unrestricted(list: &[Container], all: &mut Vec<String>) {
    let drops = |c: &Container| context(c).capabilities.is_some_and(|x| items(&x.drop).iter().any(|d| d == "ALL"));
    let missing = names(list, |c| !drops(c));
    let (bad, extra) = added(list, &["NET_BIND_SERVICE"]);
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", which(&missing)));
    }
    if !bad.is_empty() {
        parts.push(format!("{} must not include {} in securityContext.capabilities.add", which(&bad), quoted(&extra)));
    }
    if !parts.is_empty() {
        all.push(format!("unrestricted capabilities ({})", parts.join("; ")));
    }
}

/// The type of a volume that `restricted` does not allow.
fn restricted_type(v: &Volume) -> Option<&'static str> {
    [
        (v.host_path.is_some(), "hostPath"),
        (v.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (v.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (v.git_repo.is_some(), "gitRepo"),
        (v.nfs.is_some(), "nfs"),
        (v.iscsi.is_some(), "iscsi"),
        (v.glusterfs.is_some(), "glusterfs"),
        (v.rbd.is_some(), "rbd"),
        (v.flex_volume.is_some(), "flexVolume"),
        (v.cinder.is_some(), "cinder"),
        (v.cephfs.is_some(), "cephfs"),
        (v.flocker.is_some(), "flocker"),
        (v.fc.is_some(), "fc"),
        (v.azure_file.is_some(), "azureFile"),
        (v.vsphere_volume.is_some(), "vsphereVolume"),
        (v.quobyte.is_some(), "quobyte"),
        (v.azure_disk.is_some(), "azureDisk"),
        (v.portworx_volume.is_some(), "portworxVolume"),
        (v.scale_io.is_some(), "scaleIO"),
        (v.storageos.is_some(), "storageos"),
        (v.photon_persistent_disk.is_some(), "photonPersistentDisk"),
    ]
    .into_iter()
    .find(|(set, _)| *set)
    .map(|(_, name)| name)
}

fn volumes(spec: &PodSpec, all: &mut Vec<String>) {
    let bad: Vec<(&String, &str)> = items(&spec.volumes).iter().filter_map(|v| Some((&v.name, restricted_type(v)?))).collect();
    if bad.is_empty() {
        return;
    }
    let (names, types): (Vec<&String>, BTreeSet<&str>) = (bad.iter().map(|b| b.0).collect(), bad.iter().map(|b| b.1).collect());
    let types: Vec<&str> = types.into_iter().collect();
    let (n, verb) = (plural("volume", "volumes", names.len()), plural("uses", "use", names.len()));
    let kind = plural("type", "types", types.len());
    all.push(format!("restricted volume types ({n} {} {verb} restricted volume {kind} {})", quoted(&names), quoted(&types)));
}

fn non_root(spec: &PodSpec, list: &[Container], all: &mut Vec<String>) {
    let pod = spec.security_context.as_ref().and_then(|c| c.run_as_non_root);
    let explicit = names(list, |c| context(c).run_as_non_root == Some(false));
    let implicit = names(list, |c| context(c).run_as_non_root.is_none());
    let what = if pod == Some(false) {
        Some("pod must not set securityContext.runAsNonRoot=false".to_owned())
    } else if !explicit.is_empty() {
        Some(format!("{} must not set securityContext.runAsNonRoot=false", which(&explicit)))
    } else if pod.is_none() && !implicit.is_empty() {
        Some(format!("pod or {} must set securityContext.runAsNonRoot=true", which(&implicit)))
    } else {
        None
    };
    if let Some(what) = what {
        all.push(format!("runAsNonRoot != true ({what})"));
    }
}

fn run_as_user(spec: &PodSpec, list: &[Container], all: &mut Vec<String>) {
    let pod = spec.security_context.as_ref().and_then(|c| c.run_as_user) == Some(0);
    let bad = names(list, |c| context(c).run_as_user == Some(0));
    if pod || !bad.is_empty() {
        all.push(format!("runAsUser=0 ({} must not set runAsUser=0)", setters(pod, &bad)));
    }
}

fn seccomp_set(spec: &PodSpec, list: &[Container], all: &mut Vec<String>) {
    let ok = |t: &str| ["RuntimeDefault", "Localhost"].contains(&t);
    let of = |c: &Container| context(c).seccomp_profile.map(|p| p.type_);
    let pod = spec.security_context.as_ref().and_then(|c| c.seccomp_profile.as_ref()).map(|p| p.type_.clone());
    let pod_bad = pod.as_deref().is_some_and(|t| !ok(t));
    let explicit = names(list, |c| of(c).is_some_and(|t| !ok(&t)));
    let implicit = names(list, |c| of(c).is_none());
    if pod_bad || !explicit.is_empty() {
        all.push(format!("seccompProfile ({} must not set securityContext.seccompProfile.type to \"Unconfined\")", setters(pod_bad, &explicit)));
    } else if pod.is_none() && !implicit.is_empty() {
        let what = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        all.push(format!("seccompProfile (pod or {} {what})", which(&implicit)));
    }
}
