//! libFuzzer's door to the target `cel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("cel", data));
