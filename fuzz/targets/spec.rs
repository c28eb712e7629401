//! Specifications of children, through the wire and to a node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_sim::fuzz::spec(bytes, 8);
});
