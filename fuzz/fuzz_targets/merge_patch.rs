//! libFuzzer's door to the target `merge_patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("merge_patch", data));
