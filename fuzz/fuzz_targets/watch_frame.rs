//! libFuzzer's door to the target `watch_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("watch_frame", data));
