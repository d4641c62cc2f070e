//! What the node says of itself beside what others have written.

use super::{Machine, Report, build};
use crate::eviction::{Signals, Thresholds};
use jiff::Timestamp;
use kinds::QuantityText;
use kinds::api::core::v1::NodeStatus;
use std::collections::BTreeMap;

fn report() -> Report {
    Report {
        addresses: Vec::new(),
        kubelet_version: "v1.36.0".into(),
        runtime_version: "timonel://1".into(),
        port: 10250,
        pods_max: 110,
        images: Vec::new(),
        not_ready: Vec::new(),
        signals: Signals { memory_available_bytes: 1 << 30, pids_available: 10, nodefs_available_bytes: 1, ..Signals::default() },
        thresholds: Thresholds::default(),
        volumes_in_use: Vec::new(),
    }
}

#[test]
fn extended_resources_stay_and_may_be_used() {
    let machine = Machine {
        cpus: 2,
        memory_bytes: 2 << 30,
        nodefs_bytes: 100 << 30,
        hugepages_bytes: BTreeMap::new(),
        system_uuid: String::new(),
        machine_id: String::new(),
        boot_id: String::new(),
        kernel_version: String::new(),
        os_image: String::new(),
        architecture: "amd64".into(),
        swap_bytes: 0,
    };
    let capacity = BTreeMap::from([("example.com/gpu".to_owned(), QuantityText("3".into())), ("cpu".to_owned(), QuantityText("99".into()))]);
    let old = NodeStatus { capacity: Some(capacity), ..NodeStatus::default() };
    let status = build(&machine, &report(), Some(&old), Timestamp::UNIX_EPOCH);
    for list in [status.capacity, status.allocatable] {
        let list = list.expect("told");
        assert_eq!((list["example.com/gpu"].0.as_str(), list["cpu"].0.as_str()), ("3", "2"));
    }
    let memory = build(&machine, &report(), None, Timestamp::UNIX_EPOCH).allocatable.expect("told")["memory"].0.clone();
    assert_eq!(memory, format!("{}Ki", (2 << 20) - (100 << 10)));
}
