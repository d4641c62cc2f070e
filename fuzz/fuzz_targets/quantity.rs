//! libFuzzer's door to the target `quantity`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("quantity", data));
