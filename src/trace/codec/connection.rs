//! What `Connection` and `Upgrade` of an HTTP/1 request make Envoy do to the other headers.

use super::ProtocolError;
use super::http1::joined;
use crate::trace::request::Headers;

/// As many tokens in `Connection` are refused.
const TOO_MANY_TOKENS: usize = 10;

/// A `TE` of this length that `Connection` names is refused.
const TOO_LONG_TE: usize = 256;

/// Drops an upgrade to h2c, which Envoy doesn't do; of other requests drops the headers that `Connection` names.
pub(super) fn sanitize(headers: &mut Headers) -> Result<(), ProtocolError> {
    let Some(named) = joined(headers, "connection") else { return Ok(()) };
    let upgrade = joined(headers, "upgrade").filter(|_| names_upgrade(&named));
    let named = match upgrade {
        None => named,
        Some(to) if to.eq_ignore_ascii_case("h2c") => {
            headers.remove("upgrade");
            headers.remove("http2-settings");
            let stays = |token: &&str| !matches!(token.to_ascii_lowercase().as_str(), "upgrade" | "http2-settings");
            let rest: Vec<&str> = named.split(',').map(str::trim).filter(stays).collect();
            if rest.is_empty() {
                headers.remove("connection");
                return Ok(());
            }
            let rest = rest.join(",");
            headers.set("connection", &rest);
            rest
        }
        Some(_) => return Ok(()),
    };
    let rejected = |why: String| Err(ProtocolError::replied(400, "http1.connection_header_rejected", why));
    let tokens: Vec<String> = named.split(',').map(|token| token.trim().to_ascii_lowercase()).collect();
    if tokens.len() >= TOO_MANY_TOKENS {
        return rejected(format!("connection names {} headers", tokens.len()));
    }
    for token in tokens {
        match token.as_str() {
            "" | "close" | "http2-settings" | "keep-alive" | "upgrade" | "connection" => {}
            "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" => {
                return rejected(format!("connection names {token}, which a client may not take away"));
            }
            pseudo if pseudo.starts_with(':') => return rejected(format!("connection names {pseudo}")),
            "te" => {
                let te = headers.get("te").unwrap_or_default().to_owned();
                if te.len() >= TOO_LONG_TE {
                    return rejected("te is too long".to_owned());
                }
                // What else stands in it goes with the hop-by-hop headers.
                if !te.split(',').any(|coding| coding.trim() == "trailers") {
                    headers.remove("te");
                }
            }
            "host" => headers.remove(":authority"),
            other => headers.remove(other),
        }
    }
    Ok(())
}

/// Whether the tokens of `Connection` name an upgrade.
pub(super) fn names_upgrade(connection: &str) -> bool {
    connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(pairs: &[(&str, &str)]) -> Result<Vec<String>, ProtocolError> {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        sanitize(&mut headers)?;
        Ok(headers.iter().map(|(name, _)| name.to_owned()).collect())
    }

    #[test]
    fn named_headers_go() {
        assert_eq!(left(&[("connection", "X-B, close"), ("x-b", "1"), ("x-c", "2")]).unwrap(), ["connection", "x-c"]);
        assert_eq!(left(&[("connection", "host"), (":authority", "h")]).unwrap(), ["connection"]);
        assert_eq!(left(&[("connection", "te"), ("te", "trailers")]).unwrap(), ["connection", "te"]);
        assert_eq!(left(&[("connection", "te"), ("te", "gzip")]).unwrap(), ["connection"]);
        assert!(left(&[("connection", "x-forwarded-for")]).is_err());
        assert!(left(&[("connection", "a,b,c,d,e,f,g,h,i,j")]).is_err());
    }

    #[test]
    fn only_h2c_is_no_upgrade() {
        assert_eq!(left(&[("connection", "Upgrade, x-b"), ("upgrade", "h2c"), ("x-b", "1")]).unwrap(), ["connection"]);
        assert_eq!(left(&[("connection", "upgrade"), ("upgrade", "H2C")]).unwrap(), [] as [&str; 0]);
        let kept = left(&[("connection", "upgrade, x-b"), ("upgrade", "websocket"), ("x-b", "1")]).unwrap();
        assert_eq!(kept, ["connection", "upgrade", "x-b"]);
    }
}
