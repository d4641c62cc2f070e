//! AppArmor, where the kernel has it: the profile that `RuntimeDefault` means is loaded once, by the parser that AppArmor
//! systems carry (Kubernetes "Restrict a Container's Access to Resources with AppArmor").

use std::io::Write;
use std::process::{Command, Stdio};

/// Name of our default profile.
const NAME: &str = "timonel-default";

/// Ordinary file, network and capability use; no mounts, no writes to what would reach the node, signals and ptrace only
/// among processes under the same profile.
const PROFILE: &str = "\
#include <tunables/global>
profile timonel-default flags=(attach_disconnected,mediate_deleted) {
  #include <abstractions/base>
  network,
  capability,
  file,
  umount,
  signal (receive) peer=unconfined,
  signal (send,receive) peer=timonel-default,
  ptrace (trace,read,tracedby,readby) peer=timonel-default,
  deny mount,
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
";

/// The default profile's name when the kernel confines by AppArmor and the profile could be loaded; else `None`, and
/// containers run without, as on nodes that lack AppArmor.
pub(super) fn load_default() -> Option<&'static str> {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").ok()?;
    if !enabled.starts_with('Y') {
        return None;
    }
    let mut parser = Command::new("apparmor_parser").args(["-Kr"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    parser.stdin.take()?.write_all(PROFILE.as_bytes()).ok()?;
    parser.wait().ok()?.success().then_some(NAME)
}
