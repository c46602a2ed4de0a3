//! `fuzzing::sql::mysql` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::sql::mysql(data));
