//! Kernel switches under `/proc/sys/net`, which show the network namespace of the calling thread.

use std::fs;

use crate::NetError;

/// Writes a switch; writes nothing when it already has the value.
pub(crate) fn set(name: &str, value: &str) -> Result<(), NetError> {
    let path = format!("/proc/sys/net/{name}");
    if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|e| NetError::file("write", path, e))
}

/// Reads a switch.
pub(crate) fn get(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/net/{name}")).ok().map(|v| v.trim().to_owned())
}
