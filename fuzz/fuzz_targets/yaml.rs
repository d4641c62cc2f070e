//! libFuzzer's door to the target `yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("yaml", data));
