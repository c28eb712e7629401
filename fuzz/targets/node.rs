//! Three nodes in a network, and with processes, that do what the bytes say.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_sim::fuzz::node(bytes);
});
