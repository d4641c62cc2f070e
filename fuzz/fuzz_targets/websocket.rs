//! libFuzzer's door to the target `websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("websocket", data));
