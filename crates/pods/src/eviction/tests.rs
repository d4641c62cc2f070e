//! Thresholds: what their text means, and when a node is under pressure.

use super::{Least, Pressure, Signals, Thresholds};

const PLENTY: Signals = Signals {
    memory_available_bytes: 1 << 30,
    memory_capacity_bytes: 2 << 30,
    nodefs_available_bytes: 50 << 30,
    nodefs_capacity_bytes: 100 << 30,
    nodefs_inodes_free: 1000,
    nodefs_inodes: 1000,
    pids_available: 1000,
    pids_max: 4000,
};

#[test]
fn the_defaults_leave_a_healthy_node_alone() {
    assert_eq!(PLENTY.pressures(&Thresholds::default()), []);
    let low = Signals { memory_available_bytes: 99 << 20, nodefs_available_bytes: 1 << 30, ..PLENTY };
    let wanted = [(Pressure::Memory, 100 << 20, 99 << 20), (Pressure::Disk, 2 << 30, 1 << 30)];
    assert_eq!(low.pressures(&Thresholds::default()), wanted);
}

#[test]
fn thresholds_are_read_as_the_kubelet_writes_them() {
    let t = Thresholds::parse("memory.available<1500Mi, nodefs.available<60%,pid.available<10").expect("fine");
    assert_eq!((t.memory_available, t.nodefs_available), (Least::Amount(1500 << 20), Least::Percent(60.0)));
    let found: Vec<Pressure> = PLENTY.pressures(&t).into_iter().map(|(p, ..)| p).collect();
    assert_eq!(found, [Pressure::Memory, Pressure::Disk]);
    assert_eq!(Thresholds::parse("").expect("none").memory_available, Least::Amount(0));
    for wrong in ["memory.available>1", "disk<1", "memory.available<x", "nodefs.available<120%", "memory.available<1,memory.available<2"] {
        assert!(Thresholds::parse(wrong).is_err(), "{wrong}");
    }
}
