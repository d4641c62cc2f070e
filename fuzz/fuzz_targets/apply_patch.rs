//! libFuzzer's door to the target `apply_patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("apply_patch", data));
