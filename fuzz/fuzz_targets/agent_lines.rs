#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kugetsu_agent::fuzzing::agent_lines(data));
