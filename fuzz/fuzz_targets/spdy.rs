//! libFuzzer's door to the target `spdy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("spdy", data));
