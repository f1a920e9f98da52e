//! Which texts mean something else when they stand without quotes in YAML 1.1, as go-yaml reads it.

use std::sync::LazyLock;

use regex::Regex;

/// Words that are a bool, null or a number.
const WORDS: &[&str] = &[
    "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE",
    "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF",
    "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
];

/// A number with decimals or an exponent.
static FLOAT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").ok());

/// An angle or a time of YAML 1.1.
static SEXAGESIMAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$").ok());

/// A date, with or without a time.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const DATE: &str = r"[0-9]{4}-([0-9]{1,2})-([0-9]{1,2})";
    const CLOCK: &str = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})([.,][0-9]+)?";
    Regex::new(&format!("^{DATE}(?:[Tt]{CLOCK}(?:Z|[-+]([0-9]{{2}}):([0-9]{{2}}))| {CLOCK})?$")).ok()
});

/// Whether a text stays a text without quotes.
pub(super) fn is_text(text: &str) -> bool {
    match text.as_bytes().first() {
        None | Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            !WORDS.contains(&text)
        }
        Some(b'.') => !WORDS.contains(&text) && !is_float(text),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let plain = text.replace('_', "");
            let is_number = is_integer(&plain) || is_float(&plain) || is_binary(&plain);
            let is_sexagesimal = text.contains(':') && SEXAGESIMAL.as_ref().is_some_and(|form| form.is_match(text));
            !WORDS.contains(&text) && !is_number && !is_sexagesimal && !is_time(text)
        }
        Some(_) => true,
    }
}

fn is_float(text: &str) -> bool {
    FLOAT.as_ref().is_some_and(|form| form.is_match(text)) && text.parse().is_ok_and(|number: f64| number.is_finite())
}

/// What Go's `ParseInt` or `ParseUint` takes when the text says its base.
fn is_integer(text: &str) -> bool {
    let (is_signed, is_negative, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (true, true, digits),
        Some(("+", digits)) => (true, false, digits),
        _ => (false, false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(digits)) => (16, digits),
        (Some("0b"), Some(digits)) => (2, digits),
        (Some("0o"), Some(digits)) => (8, digits),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, lower.get(1..).unwrap_or_default()),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return false;
    }
    let limit = match (is_signed, is_negative) {
        (false, _) => u64::MAX,
        (true, false) => i64::MAX.unsigned_abs(),
        (true, true) => i64::MIN.unsigned_abs(),
    };
    u64::from_str_radix(digits, base).is_ok_and(|number| number <= limit)
}

/// go-yaml takes a sign after the prefix.
fn is_binary(text: &str) -> bool {
    let digits = text.strip_prefix("0b").or_else(|| text.strip_prefix("-0b"));
    digits.is_some_and(|digits| i64::from_str_radix(digits, 2).is_ok())
}

fn is_time(text: &str) -> bool {
    // Every date starts like this.
    if text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    let Some(parts) = TIME.as_ref().and_then(|form| form.captures(text)) else { return false };
    let part = |nth: usize| parts.get(nth).and_then(|part| part.as_str().parse::<i8>().ok());
    let year = text.get(..4).and_then(|year| year.parse::<i16>().ok());
    let (Some(year), Some(month), Some(day)) = (year, part(1), part(2)) else { return false };
    let is_date = jiff::civil::Date::new(year, month, day).is_ok();
    let below = |nth: usize, limit: i8| part(nth).is_none_or(|number| number < limit);
    let is_clock = below(3, 24) && below(4, 60) && below(5, 60) && below(9, 24) && below(10, 60) && below(11, 60);
    is_date && is_clock && below(7, 25) && below(8, 61)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_as_something_else() {
        for text in [
            "",
            "yes",
            "NO",
            "~",
            "null",
            "12",
            "-3",
            "0x1F",
            "0o17",
            "017",
            "1_000",
            "1.5",
            "1e3",
            ".5",
            "089",
            "+.inf",
            ".NaN",
            "2024-1-2",
            "2024-01-02T03:04:05Z",
            "2024-01-02 3:4:5",
            "12:30",
            "190:20:30.15",
            "0b101",
            "18446744073709551615",
            "-0b11",
            "1.",
        ] {
            assert!(!is_text(text), "{text:?}");
        }
        for text in [
            "yEs",
            "<<",
            "=",
            "a",
            "1.2.3",
            "10.0.0.1",
            "0x",
            "2024-13-01",
            "2024-02-30",
            "12:60",
            "1s",
            "-",
            "..5",
            "127.0.0.1:80",
            "1h",
            "+",
            "0b2",
            "1e",
            "nulls",
            "0x1G",
        ] {
            assert!(is_text(text), "{text:?}");
        }
    }
}
