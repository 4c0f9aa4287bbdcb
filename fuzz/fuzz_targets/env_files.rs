#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kugetsu::fuzzing::env_files(data));
