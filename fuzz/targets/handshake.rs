//! Two sides of a handshake, and whoever sits between them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_transport_tcp::fuzz::handshake(bytes);
});
