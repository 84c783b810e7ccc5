//! temp
pub fn h264_decoder() -> Option<&'static str> {
    Some("avdec_h264")
}
