//! libFuzzer's door to the target `gotemplate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("gotemplate", data));
