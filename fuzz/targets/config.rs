//! Configurations, sensible or absurd, and nodes that live by them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_sim::fuzz::config(bytes, 8);
});
