#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kugetsu_import::fuzzing::imported_homes(data));
