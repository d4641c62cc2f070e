//! libFuzzer's door to the target `json_patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("json_patch", data));
