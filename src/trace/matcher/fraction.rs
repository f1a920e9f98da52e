//! Fractions of requests, fixed or set by a runtime key.

use serde_json::Value;

use crate::proto::envoy::config::core::v3::RuntimeFractionalPercent;
use crate::proto::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use crate::trace::assume::Question;
use crate::trace::context::Context;
use crate::trace::walk::Walk;

/// Whether this request falls into a fraction: certain at 0 and 100 %, else both ways with their shares.
///
/// A runtime key that is set replaces the default; one that a layer outside the dump may set is assumed.
pub(crate) fn runtime_fraction(cx: &Context<'_>, walk: &mut Walk, fraction: &RuntimeFractionalPercent) -> bool {
    let share = runtime_share(cx, &fraction.runtime_key, fraction.default_value.as_ref());
    match share {
        Some(share) => happens(walk, share),
        None => unknown_key(walk, &fraction.runtime_key),
    }
}

/// Both ways of a fraction whose runtime key may be set where the input doesn't show it.
fn unknown_key(walk: &mut Walk, key: &str) -> bool {
    let what = format!("runtime key {key:?} decides a fraction");
    walk.ask(&Question { what: &what, keys: &[&format!("runtime.{key}")], answers: &["100", "0"] }) == 0
}

/// Whether something falls into a fraction by its hash, which is as certain as the fraction.
pub(crate) fn of_hash(cx: &Context<'_>, walk: &mut Walk, fraction: &RuntimeFractionalPercent, hash: u64) -> bool {
    let default = fraction.default_value.unwrap_or_default();
    let set = match cx.runtime(&fraction.runtime_key) {
        Some(value) => written(value).unwrap_or(default),
        None if fraction.runtime_key.is_empty() || cx.proxy.runtime_is_known() => default,
        None => return unknown_key(walk, &fraction.runtime_key),
    };
    hash % denominator(&set) < u64::from(set.numerator)
}

/// The share that a runtime key or its default gives; `None` if the dump doesn't tell the key's value.
pub(crate) fn runtime_share(cx: &Context<'_>, key: &str, default: Option<&FractionalPercent>) -> Option<f64> {
    let default = default.map_or(0.0, share);
    if key.is_empty() {
        return Some(default);
    }
    match cx.runtime(key) {
        Some(value) => Some(written(value).map_or(default, |fraction| share(&fraction))),
        None if cx.proxy.runtime_is_known() => Some(default),
        None => None,
    }
}

/// Whether something with a share of 0 to 1 happens to this request.
pub(crate) fn happens(walk: &mut Walk, share: f64) -> bool {
    walk.pick(&[share, 1.0 - share]) == Some(0)
}

/// A fraction as a share of 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "at most a million")]
pub(crate) fn share(fraction: &FractionalPercent) -> f64 {
    (f64::from(fraction.numerator) / denominator(fraction) as f64).min(1.0)
}

fn denominator(fraction: &FractionalPercent) -> u64 {
    match fraction.denominator() {
        DenominatorType::Hundred => 100,
        DenominatorType::TenThousand => 10_000,
        DenominatorType::Million => 1_000_000,
    }
}

/// A runtime value: a number is a percentage, an object a fraction.
fn written(value: &Value) -> Option<FractionalPercent> {
    let percent = |numerator: u64| FractionalPercent {
        numerator: u32::try_from(numerator.min(100)).unwrap_or(100),
        denominator: DenominatorType::Hundred.into(),
    };
    match value {
        Value::Number(number) => {
            // A Struct has no integers: 50 may be written 50.0.
            let rounded = number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0)?;
            format!("{rounded:.0}").parse().ok().map(percent)
        }
        Value::String(text) => text.parse().ok().map(percent),
        Value::Object(_) => serde_json::from_value(value.clone()).ok(),
        _ => None,
    }
}
