//! libFuzzer's door to the target `selector`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("selector", data));
