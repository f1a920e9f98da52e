//! Fractions of requests, fixed or set by a runtime key.

use serde_json::Value;

use crate::proto::envoy::config::core::v3::RuntimeFractionalPercent;
use crate::proto::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use crate::trace::context::Context;
use crate::trace::walk::Walk;

/// Whether this request falls into a fraction: certain at 0 and 100 %, else both ways with their shares.
///
/// A runtime key that is set replaces the default; one that a layer outside the dump may set is assumed.
pub(crate) fn runtime_fraction(cx: &Context<'_>, walk: &mut Walk, fraction: &RuntimeFractionalPercent) -> bool {
    let share = runtime_share(cx, &fraction.runtime_key, fraction.default_value.as_ref());
    match share {
        Some(share) => happens(walk, share),
        None => walk.assume_bool(&format!("runtime key {:?} decides a fraction", fraction.runtime_key)),
    }
}

/// The share that a runtime key or its default gives; `None` if the dump doesn't tell the key's value.
pub(crate) fn runtime_share(cx: &Context<'_>, key: &str, default: Option<&FractionalPercent>) -> Option<f64> {
    let default = default.map_or(0.0, share);
    if key.is_empty() {
        return Some(default);
    }
    match cx.proxy.runtime(key) {
        Some(value) => Some(written_share(value).unwrap_or(default)),
        None if cx.proxy.runtime_is_known() => Some(default),
        None => None,
    }
}

/// Whether something with a share of 0 to 1 happens to this request.
pub(crate) fn happens(walk: &mut Walk, share: f64) -> bool {
    walk.pick(&[share, 1.0 - share]) == Some(0)
}

/// A fraction as a share of 0 to 1.
pub(crate) fn share(fraction: &FractionalPercent) -> f64 {
    share_of(fraction.numerator, fraction.denominator())
}

fn share_of(numerator: u32, denominator: DenominatorType) -> f64 {
    let denominator = match denominator {
        DenominatorType::Hundred => 100.0,
        DenominatorType::TenThousand => 10_000.0,
        DenominatorType::Million => 1_000_000.0,
    };
    (f64::from(numerator) / denominator).min(1.0)
}

/// A runtime value: a number is a percentage, an object a fraction.
fn written_share(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => {
            number.as_u64().map(|percent| share_of(percent.try_into().unwrap_or(100), DenominatorType::Hundred))
        }
        Value::String(text) => text.parse().ok().map(|percent| share_of(percent, DenominatorType::Hundred)),
        Value::Object(_) => serde_json::from_value(value.clone()).ok().map(|fraction| share(&fraction)),
        _ => None,
    }
}
