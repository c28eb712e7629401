//! Bytes from a peer, read as a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_sim::fuzz::message(bytes);
});
