//! Numbers, times and bytes of protobuf's JSON: what is taken, and the one form that is printed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// An integer, also where it is written with decimals or an exponent that come to nothing.
pub(super) fn integer(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => (-1, whole),
        None => (1, whole),
    };
    let mut digits = format!("{whole}{decimals}");
    let shift = exponent.checked_sub(i32::try_from(decimals.len()).ok()?)?;
    if shift > 38 {
        return None;
    }
    for _ in 0..shift {
        digits.push('0');
    }
    for _ in shift..0 {
        if digits.pop().is_some_and(|digit| digit != '0') {
            return None;
        }
    }
    let number: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(sign * number)
}

/// A 64-bit number in the form of Go's JSON.
pub(super) fn double(number: f64) -> String {
    let size = number.abs();
    go_json(&format!("{number:e}"), size != 0.0 && !(1e-6..1e21).contains(&size))
}

/// A 32-bit number in the form of Go's JSON.
pub(super) fn float(number: f32) -> String {
    let size = number.abs();
    go_json(&format!("{number:e}"), size != 0.0 && !(1e-6..1e21).contains(&size))
}

/// From digits with an exponent: plain, or with an exponent that has a sign.
fn go_json(text: &str, with_exponent: bool) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if with_exponent {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{}", exponent.abs());
    }
    plain(mantissa, exponent)
}

/// The same number without an exponent.
fn plain(mantissa: &str, exponent: i32) -> String {
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let point = exponent + 1;
    let Ok(whole) = usize::try_from(point) else {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    };
    match digits.split_at_checked(whole) {
        Some(("", decimals)) => format!("{sign}0.{decimals}"),
        Some((all, "")) => format!("{sign}{all}"),
        Some((whole, decimals)) => format!("{sign}{whole}.{decimals}"),
        None => format!("{sign}{digits}{}", "0".repeat(whole - digits.len())),
    }
}

/// A number in the form of Go's `%g`, which YAML has.
pub(super) fn general(number: f64) -> String {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    plain(mantissa, exponent)
}

/// A span of time: `1s`, `0.250s`.
pub(super) fn duration(text: &str) -> Option<Cow<'_, str>> {
    const LONGEST: u64 = 315_576_000_000;
    let number = text.strip_suffix('s')?;
    let (is_negative, number) = match number.split_at_checked(1) {
        Some(("-", rest)) => (true, rest),
        Some(("+", rest)) => (false, rest),
        _ => (false, number),
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    if number.is_empty() || !all_digits(whole) || !all_digits(decimals) || decimals.len() > 9 || has_leading_zero {
        return None;
    }
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: u32 = format!("{decimals:0<9}").parse().ok()?;
    if seconds > LONGEST || (seconds == LONGEST && nanos > 0) {
        return None;
    }
    let sign = if is_negative && (seconds, nanos) != (0, 0) { "-" } else { "" };
    let out = format!("{sign}{seconds}{}s", fraction(nanos));
    Some(if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) })
}

/// A point in time, in UTC.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits =
        shape.iter().zip(bytes).all(|(shape, byte)| if *shape == b'd' { byte.is_ascii_digit() } else { shape == byte });
    if !fits || bytes.len() <= shape.len() {
        return None;
    }
    let zone = text.get(shape.len()..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let decimals = text.get(shape.len()..text.len() - zone.len())?;
    let is_zone =
        zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes().get(3) == Some(&b':'));
    if !is_zone || decimals.len() > 10 || (!decimals.is_empty() && (!decimals.starts_with('.') || decimals.len() == 1))
    {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    let nanos = time.subsec_nanosecond();
    let whole = if nanos < 0 { time.as_second() - 1 } else { time.as_second() };
    let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
    let whole = jiff::Timestamp::from_second(whole).ok()?.to_string();
    Some(format!("{}{}Z", whole.trim_end_matches('Z'), fraction(nanos)))
}

/// None, three, six or nine decimals.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

/// Bytes of base64 in either alphabet, with or without padding.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let is_url = text.contains(['-', '_']);
    let engine = GeneralPurpose::new(if is_url { &URL_SAFE } else { &STANDARD }, config);
    // Go steps over line breaks.
    let joined: Cow<'_, str> =
        if text.contains(['\n', '\r']) { Cow::Owned(text.replace(['\n', '\r'], "")) } else { Cow::Borrowed(text) };
    engine.decode(joined.as_bytes()).ok()
}

/// The form in which bytes are printed.
pub(super) fn base64(text: &str) -> Option<String> {
    bytes(text).map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_any_spelling() {
        for (text, expected) in [
            ("12", Some(12)),
            ("1e3", Some(1000)),
            ("1.50e1", Some(15)),
            ("-2.0", Some(-2)),
            ("1.5", None),
            ("1e99", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_shortest() {
        for (number, json, yaml) in [
            (0.25, "0.25", "0.25"),
            (1.0, "1", "1"),
            (1e-7, "1e-7", "1e-07"),
            (1e21, "1e+21", "1e+21"),
            (1_234_567.5, "1234567.5", "1.2345675e+06"),
            (100.0, "100", "100"),
            (0.00001, "0.00001", "1e-05"),
            (-0.05, "-0.05", "-0.05"),
        ] {
            assert_eq!((double(number).as_str(), general(number).as_str()), (json, yaml));
        }
        assert_eq!(float(0.1), "0.1");
    }

    #[test]
    fn durations_have_three_decimals_at_a_time() {
        for (text, expected) in [
            ("1s", Some("1s")),
            ("0.25s", Some("0.250s")),
            (".5s", Some("0.500s")),
            ("-0s", Some("0s")),
            ("1.0000001s", Some("1.000000100s")),
            ("1", None),
            ("01s", None),
            ("s", None),
        ] {
            assert_eq!(duration(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn times_are_in_utc() {
        for (text, expected) in [
            ("2024-01-02T03:04:05Z", Some("2024-01-02T03:04:05Z")),
            ("2024-01-02T03:04:05.1Z", Some("2024-01-02T03:04:05.100Z")),
            ("2024-01-02T03:04:05.123456789+01:00", Some("2024-01-02T02:04:05.123456789Z")),
            ("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.500Z")),
            ("2024-01-02 03:04:05Z", None),
            ("2024-13-02T03:04:05Z", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn bytes_in_either_alphabet() {
        assert_eq!(base64("-_8").as_deref(), Some("+/8="));
        assert_eq!(base64("W3JlZGFjdGVkXQ==").as_deref(), Some("W3JlZGFjdGVkXQ=="));
        assert_eq!(base64("[redacted]"), None);
    }
}
