//! libFuzzer's door to the target `strict`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("strict", data));
