//! libFuzzer's door to the target `message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("message", data));
