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
