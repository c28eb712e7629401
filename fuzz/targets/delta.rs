//! A journal, the deltas cut of it, and copies that get them in any order, or others.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_sim::fuzz::delta(bytes);
});
