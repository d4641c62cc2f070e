//! Control groups: limits that containers and the kernel agree on, out of memory, usage, updates.

use runtime::cri::{ContainerRuntime, Resources};

use crate::world::World;

pub(crate) const TESTS: &[crate::Test] = &[
    ("out_of_memory_is_told", out_of_memory_is_told),
    ("limits_are_in_force", limits_are_in_force),
    ("limits_change_while_it_runs", limits_change_while_it_runs),
    ("usage_is_counted", usage_is_counted),
    ("on_a_pure_v2_tree", on_a_pure_v2_tree),
];

/// On a hybrid machine the v2 tree has no controllers, but everything else of a pure v2 machine: this very binary runs a
/// choice of tests in a mount namespace where nothing but that tree is mounted.
fn on_a_pure_v2_tree(_: &World) {
    let hybrid = std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists();
    if !hybrid {
        println!("skipped: containers::on_a_pure_v2_tree: the machine is not hybrid, all other tests say it");
        return;
    }
    let own = std::env::current_exe().expect("this binary");
    let script = format!(
        "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec {} devices_are_limited privileged exec_streams \
         shared_namespaces a_killed_shim nothing_is_left",
        own.display()
    );
    let out = std::process::Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]).output();
    let out = out.expect("unshare of util-linux");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("6 passed"), "{text}{}", String::from_utf8_lossy(&out.stderr));
}

const MIB: i64 = 1024 * 1024;

fn out_of_memory_is_told(w: &World) {
    let mut config = w.script("exec dd if=/dev/zero of=/dev/null bs=200M count=1");
    config.resources.memory_limit_bytes = Some(64 * MIB);
    let (status, _) = w.run(config);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

fn limits_are_in_force(w: &World) {
    let sandbox = w.sandbox();
    let mut config = w.script(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max cpu/cpu.shares cpu.weight cpu/cpu.cfs_quota_us cpu.max \
         pids/pids.max pids.max cpuset/cpuset.cpus cpuset.cpus 2>/dev/null; cat /proc/self/oom_score_adj; sleep 1000",
    );
    config.resources = Resources {
        cpu_shares: Some(512),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        memory_limit_bytes: Some(128 * MIB),
        pids_limit: Some(77),
        oom_score_adj: Some(900),
        cpuset_cpus: Some("0".into()),
        ..Resources::default()
    };
    w.start(&sandbox, config);
    let log = w.dir.path().join("logs/c/0.log");
    w.until("all lines", || crate::world::log_of(&log).len() >= 6);
    let text: Vec<String> =
        crate::world::log_of(&log).iter().map(|l| l.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(text[0], (128 * MIB).to_string());
    assert!(text.contains(&"77".to_owned()) && text.contains(&"0".to_owned()), "{text:?}");
    assert!(text.contains(&"512".to_owned()) || text.contains(&"59".to_owned()), "{text:?}");
    assert!(text.contains(&"50000".to_owned()) || text.contains(&"50000 100000".to_owned()), "{text:?}");
    assert_eq!(text.last().map(String::as_str), Some("900"));
}

fn limits_change_while_it_runs(w: &World) {
    let sandbox = w.sandbox();
    let mut config = w.script("sleep 1000");
    config.resources.memory_limit_bytes = Some(64 * MIB);
    let id = w.start(&sandbox, config);
    let read = || {
        let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max";
        let out = w.wait(w.cri().exec_sync(&id, vec!["sh".into(), "-c".into(), script.into()], None)).expect("runs");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    for limit in [256 * MIB, 32 * MIB] {
        let resources = Resources { memory_limit_bytes: Some(limit), ..Resources::default() };
        w.wait(w.cri().update_resources(&id, resources)).expect("updated");
        assert_eq!(read(), limit.to_string());
        assert_eq!(w.wait(w.cri().container(&id)).expect("it runs").resources.memory_limit_bytes, Some(limit));
    }
}

fn usage_is_counted(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("dd if=/dev/zero of=/tmp/big bs=1M count=3 2>/dev/null; touch /tmp/done; sleep 1000"));
    let done = || w.wait(w.cri().exec_sync(&id, vec!["test".into(), "-e".into(), "/tmp/done".into()], None)).expect("runs");
    w.until("the file is written", || done().exit_code == 0);
    let usage = w.wait(w.cri().container_usage(&id)).expect("usage");
    assert!(usage.cpu_usage_ns > 0 && usage.memory_usage_bytes > 0 && usage.pids >= 1, "{usage:?}");
    assert!(usage.rootfs_used_bytes >= 3 * MIB as u64, "{usage:?}");
}
