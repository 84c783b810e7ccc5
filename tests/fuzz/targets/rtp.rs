//! RTP packets and payloads: any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tessera::media::fuzz::rtp(bytes));
