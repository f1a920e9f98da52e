//! Base64 as credentials are written.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Standard base64, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(text).ok()
}

/// Base64 in the URL alphabet, padded or not.
pub(super) fn base64_url(text: &str) -> Option<Vec<u8>> {
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT).decode(text).ok()
}
