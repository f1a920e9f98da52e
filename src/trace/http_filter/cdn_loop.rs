//! CDN-Loop: turns away requests that have come through this proxy too often, and writes it into the header (RFC 8586).

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::extensions::filters::http::cdn_loop::v3::CdnLoopConfig;
use crate::trace::context::Stream;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

const HEADER: &str = "cdn-loop";

pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<CdnLoopConfig>(walk) else { return Verdict::Continue };
    let reply = |walk: &mut Walk, status: u16, details: &str, why: String| {
        walk.step(call.step(&format!("replies {status}"), why.clone()));
        Verdict::Reply(LocalReply::new(status, details, Disposition::FilterReply, why))
    };
    // Envoy keeps repeated ones in one place, joined with commas.
    let values: Vec<&str> = stream.headers.all(HEADER).collect();
    if !values.is_empty() {
        let value = values.join(",");
        let Some(ids) = ids(&value) else {
            return reply(walk, 400, "invalid_cdn_loop_header", format!("{value:?} is no list of CDNs"));
        };
        let count = ids.iter().filter(|id| **id == config.cdn_id).count();
        let most = config.max_allowed_occurrences;
        if u32::try_from(count).unwrap_or(u32::MAX) > most {
            let why = format!("cdn-loop names {} {count} times, of at most {most}", config.cdn_id);
            return reply(walk, 502, "cdn_loop_detected", why);
        }
    }
    stream.headers.append(HEADER, &config.cdn_id);
    Verdict::Continue
}

/// The CDNs that a header names, each with its port if it has one; `None` if the header can't be read.
fn ids(value: &str) -> Option<Vec<&str>> {
    let mut ids = Vec::new();
    let mut rest = blanks(value);
    while !rest.is_empty() {
        // Elements may be empty.
        if let Some(after) = rest.strip_prefix(',') {
            rest = blanks(after);
            continue;
        }
        let (id, after) = rest.split_at(id_length(rest)?);
        ids.push(id);
        rest = blanks(after);
        while let Some(parameter) = rest.strip_prefix(';') {
            let (_, value) = token(blanks(parameter))?;
            let value = value.strip_prefix('=')?;
            rest = blanks(if value.starts_with('"') { after_quoted(value)? } else { token(value)?.1 });
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    Some(ids)
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Bytes of a name or bracketed address, and of the port behind its colon.
fn id_length(text: &str) -> Option<usize> {
    let after = match text.strip_prefix('[') {
        Some(address) => {
            let end = address.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.')?;
            address.get(end..)?.strip_prefix(']')?
        }
        None => token(text)?.1,
    };
    let after = match after.strip_prefix(':') {
        Some(port) => port.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => after,
    };
    Some(text.len() - after.len())
}

/// A token and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    const MARKS: &str = "!#$%&'*+-.^_`|~";
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !MARKS.contains(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What follows a quoted string.
fn after_quoted(text: &str) -> Option<&str> {
    let mut is_escaped = false;
    let mut chars = text.char_indices().skip(1);
    let end = loop {
        match chars.next()? {
            (_, c) if c.is_ascii_control() && c != '\t' => return None,
            (_, _) if is_escaped => is_escaped = false,
            (_, '\\') => is_escaped = true,
            (at, '"') => break at,
            _ => {}
        }
    };
    text.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_rfc_writes_them() {
        assert_eq!(ids(" , a;k=v ; l=\"x, \\\"y\" ,[::1]:80,b:").unwrap(), ["a", "[::1]:80", "b:"]);
        assert_eq!(ids("").unwrap(), [] as [&str; 0]);
        for wrong in
            ["a b", "a;", "a;k", "a;k=", "a;=v", "a;k=\"v", "a;k=\"v\\", "a:x", "[x]", "[::1", "a/b", ":80", "a,;k=v"]
        {
            assert_eq!(ids(wrong), None, "{wrong}");
        }
    }
}
