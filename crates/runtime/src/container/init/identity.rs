//! Who the process is: the image's `/etc/passwd` and `/etc/group` turn names into numbers; then groups, ids, capabilities,
//! `no_new_privs`, AppArmor and seccomp are put on in the one order that works (credentials(7), capabilities(7);
//! Kubernetes `runAsUser`, `supplementalGroupsPolicy`, `allowPrivilegeEscalation`).

use std::fs;

use nix::unistd::{Gid, Uid, fchown, setgroups, setresgid, setresuid};

use super::{Init, InitError, doing, during_init};
use crate::container::capability;
use crate::container::spec::{Identity, UserSpec};
use crate::container::sys;
use crate::shim::wire;

/// Looks the user up and tells the shim who it is; sets `HOME` when nothing else did.
pub(super) fn resolve(init: &mut Init) -> Result<(), InitError> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let (identity, home) = lookup(&init.spec.user, &passwd, &group).map_err(InitError)?;
    if !init.spec.env.iter().any(|entry| entry.starts_with("HOME=")) {
        init.spec.env.push(format!("HOME={home}"));
    }
    if let Ok(json) = serde_json::to_string(&identity) {
        let _ = wire::send(&init.report, format!("u{json}").as_bytes(), &[]);
    }
    init.identity = identity;
    Ok(())
}

/// The fields of each line of a colon-separated file.
fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// Numbers and home directory of a `user[:group]`. A name must be in the files; a number need not.
pub(super) fn lookup(wanted: &UserSpec, passwd: &str, group: &str) -> Result<(Identity, String), String> {
    let (user, group_name) = match wanted.user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted.user.as_str(), None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    let entry = records(passwd).find(|f| f.len() > 3 && (f[0] == user || (number.is_some() && f[2].parse().ok() == number)));
    let uid = match (&entry, number) {
        (Some(fields), _) => fields[2].parse().map_err(|_| format!("bad uid of {user} in /etc/passwd"))?,
        (None, Some(number)) => number,
        (None, None) => return Err(format!("unable to find user {user}: no matching entries in passwd file")),
    };
    let mut gid: u32 = entry.as_ref().and_then(|fields| fields[3].parse().ok()).unwrap_or(0);
    if let Some(name) = group_name.filter(|name| !name.is_empty()) {
        gid = group_number(name, group)?;
    }
    let mut groups = vec![gid];
    if let (Some(fields), false) = (&entry, wanted.strict) {
        let name = fields[0];
        groups.extend(
            records(group)
                .filter(|f| f.len() > 3 && f[3].split(',').any(|member| member == name))
                .filter_map(|f| f[2].parse::<u32>().ok()),
        );
    }
    groups.extend(&wanted.supplemental);
    let mut seen = Vec::with_capacity(groups.len());
    groups.retain(|id| {
        let new = !seen.contains(id);
        seen.push(*id);
        new
    });
    let home = entry.and_then(|fields| fields.get(5).map(|home| (*home).to_owned())).filter(|home| !home.is_empty());
    Ok((Identity { uid, gid, groups }, home.unwrap_or_else(|| "/".to_owned())))
}

fn group_number(name: &str, group: &str) -> Result<u32, String> {
    let number: Option<u32> = name.parse().ok();
    records(group)
        .find(|f| f.len() > 2 && f[0] == name)
        .and_then(|f| f[2].parse().ok())
        .or(number)
        .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))
}

/// Puts it all on. A filter without `no_new_privs` needs CAP_SYS_ADMIN and therefore goes first; with it, last, so that it
/// need not allow what happens here.
pub(super) fn assume(init: &mut Init) -> Result<(), InitError> {
    confine_by_apparmor(init)?;
    let install = |init: &mut Init| match init.filter.take() {
        Some(filter) => filter.install().map_err(doing("error loading seccomp filter into kernel")),
        None => Ok(()),
    };
    let entered = std::env::set_current_dir(&init.spec.cwd).is_ok();
    own_streams(init);
    if !init.spec.no_new_privs {
        install(init)?;
    }
    credentials(init)?;
    if !entered {
        std::env::set_current_dir(&init.spec.cwd).map_err(|e| {
            InitError(format!("chdir to cwd ({:?}) set in config.json failed: {}", init.spec.cwd, super::plain(&e.to_string())))
        })?;
    }
    // A directory reached through a leaked descriptor would be the node's.
    if !std::env::current_dir().is_ok_and(|dir| dir.is_absolute()) {
        return Err(InitError("current working directory is outside of container mount namespace root".to_owned()));
    }
    // The shim's end is the container's end.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::SIGKILL).map_err(doing("error setting the parent death signal"))?;
    if init.spec.no_new_privs {
        nix::sys::prctl::set_no_new_privs().map_err(doing("error setting no_new_privs"))?;
        install(init)?;
    }
    Ok(())
}

fn confine_by_apparmor(init: &Init) -> Result<(), InitError> {
    let Some(profile) = &init.spec.apparmor else { return Ok(()) };
    let label = format!("exec {profile}");
    fs::write("/proc/self/attr/apparmor/exec", &label)
        .or_else(|_| fs::write("/proc/self/attr/exec", &label))
        .map_err(|e| during_init(format!("unable to apply apparmor profile: {}", super::plain(&e.to_string()))))
}

/// The process may reopen its own streams (`/dev/stdout`) also when it is not root.
fn own_streams(init: &Init) {
    use std::os::fd::AsFd;
    let owner = Some(Uid::from_raw(init.identity.uid));
    if init.stdio.stdin.is_some() {
        let _ = fchown(std::io::stdin().as_fd(), owner, None);
    }
    if init.stdio.stdout.is_some() {
        let _ = fchown(std::io::stdout().as_fd(), owner, None);
    }
    if init.stdio.stderr.is_some() {
        let _ = fchown(std::io::stderr().as_fd(), owner, None);
    }
}

fn credentials(init: &Init) -> Result<(), InitError> {
    let bounding = (0..=capability::LAST)
        .filter(|bit| sys::prctl(libc::PR_CAPBSET_READ, *bit, 0).is_ok_and(|set| set == 1))
        .fold(0u64, |set, bit| set | 1 << bit);
    let wanted = init.spec.capabilities & bounding;
    for bit in (0..=capability::LAST).filter(|bit| bounding & !wanted & (1 << bit) != 0) {
        sys::prctl(libc::PR_CAPBSET_DROP, bit, 0).map_err(doing("error dropping bounding capabilities"))?;
    }
    sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map_err(doing("error keeping capabilities"))?;
    let identity = &init.identity;
    let groups: Vec<Gid> = identity.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    setgroups(&groups).map_err(|e| during_init(format!("setgroups: {}", e.desc().to_lowercase())))?;
    let gid = Gid::from_raw(identity.gid);
    setresgid(gid, gid, gid).map_err(|e| during_init(format!("setgid: {}", e.desc().to_lowercase())))?;
    let uid = Uid::from_raw(identity.uid);
    setresuid(uid, uid, uid).map_err(|e| during_init(format!("setuid: {}", e.desc().to_lowercase())))?;
    sys::prctl(libc::PR_SET_KEEPCAPS, 0, 0).map_err(doing("error keeping capabilities"))?;
    sys::set_capabilities(wanted, wanted, 0).map_err(doing("error setting capabilities"))?;
    // Inheritable is empty, so nothing can be ambient; an inherited ambient set goes with it.
    let _ = sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0);
    Ok(())
}
