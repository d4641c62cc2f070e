//! libFuzzer's door to the target `strategic_patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("strategic_patch", data));
