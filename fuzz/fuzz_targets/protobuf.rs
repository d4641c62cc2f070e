//! libFuzzer's door to the target `protobuf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| it::fuzz::run("protobuf", data));
