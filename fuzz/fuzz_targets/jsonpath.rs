//! libFuzzer's door to the target `jsonpath`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("jsonpath", data));
