#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kugetsu_git::fuzzing::git_directories(data));
