//! `timonel doctor`: what this machine lacks, each with the command that mends it.

use crate::args::DoctorOptions;
use anyhow::Result;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

/// inotify instances and watches that a busy node needs.
const INOTIFY: &[(&str, u64)] = &[("max_user_instances", 512), ("max_user_watches", 65_536)];

/// The oldest kernel that has every call the container runtime makes (`mount_setattr` came with 5.12).
const KERNEL_OLDEST: (u32, u32) = (5, 12);

struct Finding {
    what: String,
    mend: String,
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|s| {
        s.lines().find_map(|l| l.strip_prefix("Uid:")).and_then(|u| u.split_whitespace().nth(1)) == Some("0")
    })
}

/// Looks at everything and prints what is missing.
pub(crate) fn doctor(options: &DoctorOptions) -> Result<i32> {
    let mut findings = Vec::new();
    if !is_root() {
        findings.push(Finding { what: "not root: containers cannot be run".into(), mend: "sudo timonel doctor".into() });
    }
    findings.extend(kernel());
    findings.extend(net::probe().into_iter().map(|m| Finding { what: format!("{}: {}", m.what, m.why), mend: m.mend.to_owned() }));
    findings.extend(cgroups());
    findings.extend(file_systems());
    findings.extend(inotify());
    findings.extend(port(options.secure_port));
    findings.extend(port(10_250));
    for f in &findings {
        println!("✗ {}\n    {}", f.what, f.mend);
    }
    if findings.is_empty() {
        println!("✓ this machine has all that a node needs");
    }
    Ok(i32::from(!findings.is_empty()))
}

fn kernel() -> Option<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    let have = (numbers.next()?, numbers.next()?);
    (have < KERNEL_OLDEST).then(|| Finding {
        what: format!("the kernel is {}, at least {}.{} is wanted", release.trim(), KERNEL_OLDEST.0, KERNEL_OLDEST.1),
        mend: "apt-get install --only-upgrade linux-image-generic && reboot".into(),
    })
}

fn cgroups() -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |kind: &str| mounts.lines().filter(|l| l.split(' ').nth(2) == Some(kind)).count();
    let (v1, v2) = (of("cgroup"), of("cgroup2"));
    let layout = match (v1, v2) {
        (0, 0) => {
            return vec![Finding {
                what: "no cgroup file system is mounted".into(),
                mend: "mount -t cgroup2 none /sys/fs/cgroup".into(),
            }];
        }
        (0, _) => "v2",
        (_, 0) => "v1",
        _ => "hybrid",
    };
    println!("  cgroups: {layout}");
    Vec::new()
}

fn file_systems() -> Vec<Finding> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| known.lines().any(|l| l.split_whitespace().last() == Some(name));
    if has("overlay") {
        return Vec::new();
    }
    vec![Finding { what: "the kernel has no overlayfs".into(), mend: "modprobe overlay".into() }]
}

fn inotify() -> Vec<Finding> {
    let low = INOTIFY.iter().filter_map(|(name, least)| {
        let path = format!("/proc/sys/fs/inotify/{name}");
        let have: u64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        (have < *least).then(|| Finding {
            what: format!("fs.inotify.{name} is {have}, at least {least} is wanted"),
            mend: format!("sysctl -w fs.inotify.{name}={least}"),
        })
    });
    low.collect()
}

fn port(port: u16) -> Option<Finding> {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err();
    taken.then(|| Finding { what: format!("port {port} is taken"), mend: format!("ss -ltnp 'sport = :{port}'") })
}
