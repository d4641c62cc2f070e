//! Layout detection, the weight curve, the device program; and real groups when root.

use super::*;

const HYBRID: &str = "\
30 28 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

#[test]
fn layouts_are_told_apart() {
    let v2 = Layout::parse("29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    assert_eq!(v2, Layout::V2("/sys/fs/cgroup".into()));
    let Layout::V1 { hierarchies, unified } = Layout::parse(HYBRID) else { panic!("hybrid is v1 with a v2 tree") };
    assert_eq!(unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
    assert_eq!(hierarchies.len(), 3);
    assert_eq!(hierarchies[1].controllers, ["cpu", "cpuacct"]);
}

#[test]
fn shares_become_weights_on_the_curve_where_1024_is_100() {
    assert_eq!([2, 1024, 262_144, 0, u64::MAX].map(v2::weight), [1, 100, 10_000, 1, 10_000]);
}

#[test]
fn a_device_program_ends_in_denial() {
    let program = device::program(&[DeviceRule { kind: 'c', major: Some(1), minor: Some(3), access: 7 }]);
    assert_eq!(program.len(), 6 + 5 + 2);
    assert_eq!(program[program.len() - 2] & 0xff, 0xb7);
    assert_eq!(program[program.len() - 2] >> 32, 0);
}

#[test]
fn the_kernel_accepts_the_device_program() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: the_kernel_accepts_the_device_program: not root");
        return;
    }
    let cgroup = Cgroup::at(&format!("timonel-test-{}", std::process::id()));
    let Some(dir) = cgroup.v2_dir() else {
        println!("skipped: the_kernel_accepts_the_device_program: no cgroup v2 tree is mounted");
        return;
    };
    fs::create_dir(&dir).expect("a group of our own");
    let opened = fs::File::open(&dir).expect("it was just made");
    let result = crate::container::sys::attach_device_program(&opened, &device::program(&DeviceRule::defaults()));
    drop(opened);
    fs::remove_dir(&dir).expect("it is empty");
    result.expect("the verifier accepts it");
}

/// A directory that stands for a group.
fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).expect("a file"));
    dir
}

fn all_limits() -> Resources {
    Resources {
        cpu_shares: Some(1024),
        cpu_quota_us: Some(50_000),
        memory_limit_bytes: Some(1 << 20),
        pids_limit: Some(-1),
        cpuset_cpus: Some("0-1".into()),
        hugepages_bytes: [("2MB".to_owned(), 4096)].into(),
        ..Resources::default()
    }
}

#[test]
fn limits_are_spelled_for_v2() {
    let dir = fake(&[("memory.swap.max", "max")]);
    v2::limit(dir.path(), &all_limits()).expect("written");
    for (file, text) in [
        ("cpu.weight", "100"),
        ("cpu.max", "50000 100000"),
        ("memory.max", "1048576"),
        ("memory.swap.max", "0"),
        ("pids.max", "max"),
        ("cpuset.cpus", "0-1"),
        ("hugetlb.2MB.max", "4096"),
    ] {
        assert_eq!(fs::read_to_string(dir.path().join(file)).expect(file), text, "{file}");
    }
    v2::limit(dir.path(), &Resources { memory_limit_bytes: Some(0), ..Resources::default() }).expect("written");
    assert_eq!(fs::read_to_string(dir.path().join("memory.max")).expect("there"), "max");
}

#[test]
fn limits_are_spelled_for_v1() {
    let dir = fake(&[("memory.memsw.limit_in_bytes", "")]);
    let here = dir.path().to_owned();
    v1::limit(&|_| Some(here.clone()), &all_limits()).expect("written");
    for (file, text) in [
        ("cpu.shares", "1024"),
        ("cpu.cfs_quota_us", "50000"),
        ("memory.limit_in_bytes", "1048576"),
        ("memory.memsw.limit_in_bytes", "1048576"),
        ("pids.max", "max"),
        ("cpuset.cpus", "0-1"),
        ("hugetlb.2MB.limit_in_bytes", "4096"),
    ] {
        assert_eq!(fs::read_to_string(dir.path().join(file)).expect(file), text, "{file}");
    }
    let missing = v1::limit(&|_| None, &all_limits()).expect_err("no hierarchy").to_string();
    assert_eq!(missing, "cgroup controller cpu is not mounted (cpu.shares)");
}

#[test]
fn v2_switches_on_what_is_offered_on_the_way_down() {
    let dir = fake(&[("cgroup.controllers", "cpu memory rdma\n"), ("cgroup.subtree_control", "cpu\n")]);
    v2::create(dir.path(), "a/b").expect("made");
    assert!(dir.path().join("a/b").is_dir());
    assert_eq!(fs::read_to_string(dir.path().join("cgroup.subtree_control")).expect("there"), "+memory");
}

#[test]
fn usage_is_read_from_both_kinds_of_files() {
    let dir = fake(&[
        ("cpu.stat", "usage_usec 5\nuser_usec 1\n"),
        ("memory.current", "1000\n"),
        ("memory.stat", "anon 300\ninactive_file 400\npgfault 7\npgmajfault 2\n"),
        ("pids.current", "3\n"),
        ("cpuacct.usage", "6000\n"),
        ("memory.usage_in_bytes", "900\n"),
    ]);
    let v2 = usage::read_v2(dir.path());
    assert_eq!((v2.cpu_usage_ns, v2.memory_working_set_bytes, v2.memory_rss_bytes, v2.pids), (5000, 600, 300, 3));
    let here = dir.path().to_owned();
    let v1 = usage::read_v1(&|_| Some(here.clone()));
    assert_eq!((v1.cpu_usage_ns, v1.memory_usage_bytes, v1.pids), (6000, 900, 3));
}
