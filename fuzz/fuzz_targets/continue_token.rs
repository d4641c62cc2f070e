//! libFuzzer's door to the target `continue_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("continue_token", data));
