//! A `curl …` line as a request.
//!
//! What curl sends is kept as curl sends it (its `accept` and `user-agent`, the method that a body implies); options that
//! only concern the answer or the transfer are passed over; options that would change where the request goes and can't
//! be followed are an error.

use std::net::SocketAddr;

/// What a curl line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Curl {
    pub(super) url: String,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) http2: bool,
    pub(super) http10: bool,
    /// Whether a client certificate is presented.
    pub(super) certificate: bool,
    /// Address from `--resolve` or `--connect-to`.
    pub(super) to: Option<SocketAddr>,
    /// Source address from `--interface`.
    pub(super) from: Option<String>,
}

/// Options that only concern the answer or the transfer, and take no value.
const IGNORED: &[&str] = &[
    "--silent",
    "--show-error",
    "--verbose",
    "--include",
    "--insecure",
    "--location",
    "--fail",
    "--fail-with-body",
    "--no-buffer",
    "--progress-bar",
    "--http1.1",
    "--remote-name",
    "--no-progress-meter",
    "--no-keepalive",
    "--ipv4",
    "--ipv6",
    "--tcp-nodelay",
    "--globoff",
    "--path-as-is",
    "--no-alpn",
    "--raw",
    "--disable",
];

/// The same with a value.
const IGNORED_WITH_VALUE: &[&str] = &[
    "--output",
    "--write-out",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "--cacert",
    "--capath",
    "--key",
    "--ciphers",
    "--max-redirs",
    "--dump-header",
    "--cookie-jar",
    "--limit-rate",
    "--trace",
    "--trace-ascii",
    "--stderr",
    "--retry-max-time",
    "--keepalive-time",
    "--tls-max",
    "--cert-type",
    "--key-type",
    "--pass",
];

/// Short options and their long forms.
const SHORT: &[(char, &str)] = &[
    ('X', "--request"),
    ('H', "--header"),
    ('d', "--data"),
    ('I', "--head"),
    ('A', "--user-agent"),
    ('e', "--referer"),
    ('b', "--cookie"),
    ('u', "--user"),
    ('G', "--get"),
    ('F', "--form"),
    ('T', "--upload-file"),
    ('E', "--cert"),
    ('r', "--range"),
    ('s', "--silent"),
    ('S', "--show-error"),
    ('v', "--verbose"),
    ('i', "--include"),
    ('k', "--insecure"),
    ('L', "--location"),
    ('f', "--fail"),
    ('N', "--no-buffer"),
    ('#', "--progress-bar"),
    ('o', "--output"),
    ('w', "--write-out"),
    ('m', "--max-time"),
    ('O', "--remote-name"),
    ('D', "--dump-header"),
    ('c', "--cookie-jar"),
    ('4', "--ipv4"),
    ('6', "--ipv6"),
    ('g', "--globoff"),
    ('q', "--disable"),
    ('0', "--http1.0"),
];

/// Reads a curl line; the error says what can't be followed.
pub(super) fn parse(line: &str) -> Result<Curl, String> {
    let words = shlex::split(line).ok_or("a quote isn't closed")?;
    let mut words = words.into_iter().peekable();
    if words.peek().is_some_and(|word| word == "curl" || word.ends_with("/curl")) {
        words.next();
    }
    let mut reader = Reader::default();
    while let Some(word) = words.next() {
        for (option, attached) in expand(&word)? {
            let value = || attached.or_else(|| words.next()).ok_or_else(|| format!("{option} has no value"));
            reader.option(&option, value)?;
        }
    }
    reader.finish()
}

/// What the options so far say.
#[derive(Default)]
struct Reader {
    curl: Curl,
    data: Vec<String>,
    get: bool,
    /// Method that the other options imply.
    implied: Option<&'static str>,
    content_type: Option<&'static str>,
}

impl Reader {
    fn option(&mut self, option: &str, value: impl FnOnce() -> Result<String, String>) -> Result<(), String> {
        let curl = &mut self.curl;
        let mut add = |name: &str, value: String| curl.headers.push((name.to_owned(), value));
        match option {
            "" | "--url" if curl.url.is_empty() => curl.url = value()?,
            "" | "--url" => return Err("it has more than one URL".to_owned()),
            "--request" => curl.method = Some(value()?),
            "--header" => curl.headers.push(header(&value()?)?),
            "--data" | "--data-raw" | "--data-binary" | "--data-urlencode" | "--data-ascii" => {
                self.data.push(value()?);
                self.implied = Some("POST");
                self.content_type.get_or_insert("application/x-www-form-urlencoded");
            }
            "--json" => {
                self.data.push(value()?);
                self.implied = Some("POST");
                self.content_type = Some("application/json");
                add("accept", "application/json".to_owned());
            }
            "--form" | "--form-string" => {
                value()?;
                self.implied = Some("POST");
                self.content_type = Some("multipart/form-data");
            }
            "--upload-file" => {
                value()?;
                self.implied = Some("PUT");
            }
            "--head" => self.implied = Some("HEAD"),
            "--get" => self.get = true,
            "--user-agent" => add("user-agent", value()?),
            "--referer" => add("referer", value()?),
            "--cookie" => add("cookie", value()?),
            "--range" => add("range", format!("bytes={}", value()?)),
            "--compressed" => add("accept-encoding", "deflate, gzip, br, zstd".to_owned()),
            "--user" => {
                // Which user it is decides nothing that a dump can tell; that there is a header can.
                value()?;
                add("authorization", "Basic [redacted]".to_owned());
            }
            "--oauth2-bearer" => add("authorization", format!("Bearer {}", value()?)),
            "--http2" | "--http2-prior-knowledge" => curl.http2 = true,
            "--http1.0" => curl.http10 = true,
            "--cert" => {
                value()?;
                curl.certificate = true;
            }
            "--resolve" => curl.to = Some(resolve(&value()?)?),
            "--connect-to" => curl.to = Some(connect_to(&value()?)?),
            "--interface" => curl.from = Some(value()?),
            ignored if IGNORED.contains(&ignored) => {}
            ignored if IGNORED_WITH_VALUE.contains(&ignored) => {
                value()?;
            }
            other => return Err(format!("what {other} does isn't known here")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Curl, String> {
        let Self { mut curl, data, get, mut implied, mut content_type } = self;
        if curl.url.is_empty() {
            return Err("it has no URL".to_owned());
        }
        if get {
            implied = implied.filter(|method| *method == "HEAD");
            content_type = None;
            if !data.is_empty() {
                let joint = if curl.url.contains('?') { '&' } else { '?' };
                curl.url = format!("{}{joint}{}", curl.url, data.join("&"));
            }
        }
        if matches!(implied, Some("POST" | "PUT")) {
            // The length is that of the body, which isn't part of a trace: without one it would be wrong.
            let is_length = |name: &str, value: &str| {
                name.eq_ignore_ascii_case("content-length") && value.bytes().all(|byte| byte.is_ascii_digit())
            };
            curl.headers.retain(|(name, value)| !is_length(name, value));
        }
        curl.method = curl.method.or_else(|| implied.map(str::to_owned));
        default_headers(&mut curl.headers, content_type);
        Ok(curl)
    }
}

/// Adds the headers that curl sends by itself.
fn default_headers(headers: &mut Vec<(String, String)>, content_type: Option<&str>) {
    let mut add = |name: &str, value: &str| {
        if !headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    add("user-agent", "curl/8.15.0");
    add("accept", "*/*");
    if let Some(content_type) = content_type {
        add("content-type", content_type);
    }
    // `-H 'Accept:'` takes a header away.
    headers.retain(|(_, value)| !value.is_empty());
}

/// The options in a word, each with the value attached to it; a plain word is an option without a name.
fn expand(word: &str) -> Result<Vec<(String, Option<String>)>, String> {
    if word.starts_with("--") {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        return Ok(vec![(name.to_owned(), value)]);
    }
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
        return Ok(vec![(String::new(), Some(word.to_owned()))]);
    };
    let mut out = Vec::new();
    for (at, letter) in letters.char_indices() {
        let (_, long) = SHORT
            .iter()
            .find(|(short, _)| *short == letter)
            .ok_or_else(|| format!("what -{letter} does isn't known here"))?;
        let takes_value = !IGNORED.contains(long) && !matches!(*long, "--head" | "--get" | "--http1.0");
        if takes_value {
            let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            out.push(((*long).to_owned(), (!rest.is_empty()).then(|| rest.to_owned())));
            return Ok(out);
        }
        out.push(((*long).to_owned(), None));
    }
    Ok(out)
}

/// `Name: value` as a pair; `Name;` is curl's way of an empty value.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .or_else(|| text.strip_suffix(';').map(|name| (name, "")))
        .ok_or_else(|| format!("header {text:?} isn't of the form NAME: VALUE"))?;
    if name.trim().is_empty() {
        return Err(format!("header {text:?} has no name"));
    }
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// `host:port:address`
fn resolve(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("--resolve {text:?} isn't of the form HOST:PORT:ADDRESS");
    let mut parts = text.splitn(3, ':').skip(1);
    let (port, address) = (parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?);
    let address = address.split(',').next().unwrap_or_default().trim_matches(['[', ']']);
    Ok(SocketAddr::new(address.parse().map_err(|_| wrong())?, port.parse().map_err(|_| wrong())?))
}

/// `host1:port1:address2:port2`
fn connect_to(text: &str) -> Result<SocketAddr, String> {
    let address = text.splitn(3, ':').nth(2).and_then(|address| address.parse().ok());
    address.ok_or_else(|| format!("--connect-to {text:?} doesn't end in ADDRESS:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let got = match parse(line) {
            Ok(curl) => {
                let headers: Vec<String> = curl
                    .headers
                    .iter()
                    .filter(|(name, value)| name != "user-agent" && value != "*/*")
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let to = curl.to.map(|to| format!(" to {to}")).unwrap_or_default();
                format!("{} {}{to} {headers:?}", curl.method.as_deref().unwrap_or("GET"), curl.url)
            }
            Err(error) => error,
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn lines_as_people_paste_them() {
        check("curl http://a/b", "GET http://a/b []");
        check(
            "curl -sSXPOST -H 'Content-Type: application/json' -H'x:y' -d '{}' 'http://a/b c'",
            "POST http://a/b c [\"Content-Type=application/json\", \"x=y\"]",
        );
        check("/usr/bin/curl --request=PUT --url http://a -o /dev/null -w '%{http_code}\\n'", "PUT http://a []");
        check("curl --http2 -H 'content-length: 3' -T f http://a/", "PUT http://a/ []");
        check("curl -H 'content-length: 3' -0 http://a/", "GET http://a/ [\"content-length=3\"]");
        check("curl -G -d q=1 -d r=2 http://a/?x", "GET http://a/?x&q=1&r=2 []");
        check("curl -d q=1 \\\n  http://a/", "POST http://a/ [\"content-type=application/x-www-form-urlencoded\"]");
        check("curl -I http://a", "HEAD http://a []");
        check("curl --resolve a:443:10.0.0.1 https://a", "GET https://a to 10.0.0.1:443 []");
        check("curl --connect-to a:443:[::1]:8443 https://a", "GET https://a to [::1]:8443 []");
        check("curl -H 'Accept:' http://a", "GET http://a []");
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        check("curl http://a --proxy b", "what --proxy does isn't known here");
        check("curl -Z http://a", "what -Z does isn't known here");
        check("curl 'http://a", "a quote isn't closed");
        check("curl -H", "--header has no value");
        check("curl -s", "it has no URL");
        check("curl http://a http://b", "it has more than one URL");
    }
}
