#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kugetsu_forge::fuzzing::references(data));
