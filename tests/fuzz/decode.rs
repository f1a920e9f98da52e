//! Any JSON decodes as any modelled message, older forms too, or is refused; what was decoded is written and read again
//! as the same.
//!
//! The first line of an input names the message, the rest is its JSON. A name that isn't known stands for some message.

use std::sync::LazyLock;

use xdsight::dump::{decode, redact};
use xdsight::proto::{Message, describe};

use super::messages::{self, Check};

pub(crate) fn run(bytes: &[u8]) {
    static ALL: LazyLock<Vec<(String, Check)>> = LazyLock::new(messages::all);
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (name, json) = bytes.split_at(end);
    let named = ALL.iter().position(|(known, _)| known.as_bytes() == name);
    let some =
        || name.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % ALL.len();
    let (_, check) = &ALL[named.unwrap_or_else(some)];
    check(json);
}

pub(crate) fn check<T: Message>(json: &[u8]) {
    let _ = describe::unmodelled(&T::full_name(), json);
    let _ = redact(json);
    let Ok(message) = decode::<T>(json) else { return };
    let written = serde_json::to_string(&message).unwrap();
    let again: T = decode(written.as_bytes()).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    let _ = T::decode(message.encode_to_vec().as_slice());
}
