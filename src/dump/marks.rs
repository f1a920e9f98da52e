//! Texts that tell, in one pass over a resource, whether it needs more than decoding.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

/// What a resource's text may hold. A false alarm only costs time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// Private keys, passwords or tokens.
    pub(super) sensitive: bool,
    /// A form of an API older than v3.
    pub(super) legacy: bool,
}

/// How a mark counts.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Sensitive,
    Legacy,
    /// Legacy if it ends the version of one of Envoy's packages: `envoy.api.v2.Cluster`.
    LegacyVersion,
    /// Legacy if the object has a name before it and no type: the `config` Struct of a filter.
    LegacyConfig,
    /// Legacy directly in the `match` of a route.
    LegacyRegex,
}

const MARKS: &[(&str, Sign)] = &[
    ("private_key", Sign::Sensitive),
    ("privateKey", Sign::Sensitive),
    ("\"password\"", Sign::Sensitive),
    ("session_ticket_keys", Sign::Sensitive),
    ("sessionTicketKeys", Sign::Sensitive),
    ("generic_secret", Sign::Sensitive),
    ("genericSecret", Sign::Sensitive),
    ("_secret\"", Sign::Sensitive),
    ("Secret\"", Sign::Sensitive),
    ("_token\"", Sign::Sensitive),
    ("Token\"", Sign::Sensitive),
    ("json_key", Sign::Sensitive),
    ("jsonKey", Sign::Sensitive),
    ("uthorization\"", Sign::Sensitive),
    ("UTHORIZATION\"", Sign::Sensitive),
    ("ookie\"", Sign::Sensitive),
    ("api-key\"", Sign::Sensitive),
    (".v2.", Sign::LegacyVersion),
    (".v2alpha.", Sign::LegacyVersion),
    (".v2alpha1.", Sign::LegacyVersion),
    (".v1alpha1.", Sign::LegacyVersion),
    ("idden_envoy_deprecated_", Sign::Legacy),
    ("iddenEnvoyDeprecated", Sign::Legacy),
    ("\"config\"", Sign::LegacyConfig),
    ("\"regex\"", Sign::LegacyRegex),
    ("\"ORIGINAL_DST_LB\"", Sign::Legacy),
    ("\"tls_context\"", Sign::Legacy),
    ("\"tlsContext\"", Sign::Legacy),
    ("\"hosts\"", Sign::Legacy),
    ("\"regex_match\"", Sign::Legacy),
    ("\"regexMatch\"", Sign::Legacy),
    ("\"per_filter_config\"", Sign::Legacy),
    ("\"perFilterConfig\"", Sign::Legacy),
    ("\"verify_subject_alt_name\"", Sign::Legacy),
    ("\"verifySubjectAltName\"", Sign::Legacy),
    ("\"request_mirror_policy\"", Sign::Legacy),
    ("\"requestMirrorPolicy\"", Sign::Legacy),
    ("\"use_websocket\"", Sign::Legacy),
    ("\"useWebsocket\"", Sign::Legacy),
    ("\"allow_origin\"", Sign::Legacy),
    ("\"allowOrigin\"", Sign::Legacy),
    ("\"build_version\"", Sign::Legacy),
    ("\"buildVersion\"", Sign::Legacy),
    ("\"sni_domains\"", Sign::Legacy),
    ("\"sniDomains\"", Sign::Legacy),
];

impl Marks {
    /// Looks for marks.
    pub(super) fn of(json: &[u8]) -> Self {
        static SEARCHER: OnceLock<Option<AhoCorasick>> = OnceLock::new();
        let searcher = SEARCHER.get_or_init(|| AhoCorasick::new(MARKS.iter().map(|(text, _)| text)).ok());
        // The patterns are fixed and few, so that they always compile; without them everything is looked at.
        let Some(searcher) = searcher else { return Self { sensitive: true, legacy: true } };
        let mut marks = Self::default();
        for found in searcher.find_iter(json) {
            let before = json.get(..found.start()).unwrap_or_default();
            match MARKS.get(found.pattern().as_usize()).map(|(_, sign)| sign) {
                Some(Sign::Sensitive) => marks.sensitive = true,
                Some(Sign::Legacy) => marks.legacy = true,
                Some(Sign::LegacyVersion) => marks.legacy |= marks.legacy || is_package_of_envoy(before),
                Some(Sign::LegacyConfig) => marks.legacy |= marks.legacy || is_named_and_untyped(before),
                Some(Sign::LegacyRegex) => marks.legacy |= marks.legacy || opens_match(before),
                None => {}
            }
            if marks.sensitive && marks.legacy {
                break;
            }
        }
        marks
    }
}

fn is_package_of_envoy(before: &[u8]) -> bool {
    let start = before.iter().rposition(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_')));
    before.get(start.map_or(0, |at| at + 1)..).unwrap_or_default().starts_with(b"envoy.")
}

/// Whether the object around, as far as it is written, is a filter's without a type: `name` stands before `config`, or,
/// where members are sorted, the object is an element of a list.
fn is_named_and_untyped(before: &[u8]) -> bool {
    const FAR: usize = 1024;
    let near = before.get(before.len().saturating_sub(FAR)..).unwrap_or_default();
    let open = memchr::memrchr2(b'{', b'}', near).unwrap_or_default();
    let (outside, members) = near.split_at_checked(open).unwrap_or((near, b""));
    if memchr::memmem::find(members, b"\"@type\"").is_some() {
        return false;
    }
    memchr::memmem::find(members, b"\"name\"").is_some() || matches!(outside.trim_ascii_end().last(), Some(b'[' | b','))
}

/// Whether the innermost object is the value of a member `match`, or starts elsewhere in it.
fn opens_match(before: &[u8]) -> bool {
    let open = memchr::memrchr2(b'{', b'}', before).unwrap_or_default();
    let key = before.get(..open).unwrap_or_default().trim_ascii_end().strip_suffix(b":").unwrap_or_default();
    key.trim_ascii_end().ends_with(b"\"match\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, sensitive: bool, legacy: bool) {
        assert_eq!(Marks::of(json.as_bytes()), Marks { sensitive, legacy }, "{json}");
    }

    #[test]
    fn legacy_forms_are_told_from_what_looks_like_them() {
        check(r#"{"@type":"type.googleapis.com/envoy.api.v2.Cluster"}"#, false, true);
        check(r#"{"@type":"type.googleapis.com/istio.alpn.v2alpha1.FilterConfig"}"#, false, false);
        check(r#"{"name":"outbound|80|v2|reviews.v2.svc"}"#, false, false);
        check(r#"{"name": "envoy.router", "config": {}}"#, false, true);
        check(r#"{"filters": [{"config": {}, "name": "envoy.router"}]}"#, false, true);
        check(r#"{"value": {"config": {}}}"#, false, false);
        check(r#"{"@type": "a/b.Wasm", "config": {"name": "x"}}"#, false, false);
        check(r#"{"filter_metadata":{"istio":{"config":"/apis/a"}}}"#, false, false);
        check(r#"{"match": {"regex": ".*"}}"#, false, true);
        check(r#"{"match": {"safe_regex": {"google_re2": {}, "regex": ".*"}}}"#, false, false);
        check(r#"{"typed_per_filter_config": {}}"#, false, false);
        check(r#"{"hidden_envoy_deprecated_use_original_dst": true}"#, false, true);
    }

    #[test]
    fn sensitive_members_are_marked() {
        check(r#"{"privateKey":{}}"#, true, false);
        check(r#"{"key":"Authorization","value":"x"}"#, true, false);
        check(r#"{"key":"x-api-key","value":"x"}"#, true, false);
        check(r#"{"name":"a"}"#, false, false);
    }
}
