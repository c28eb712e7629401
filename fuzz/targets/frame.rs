//! Frames packed into records, cut anywhere, and bytes that are no records.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ordu_transport_tcp::fuzz::frame(bytes, 256);
});
