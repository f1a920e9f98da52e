//! What changed between releases of Envoy, in one table: a rule per change, from which release on it holds, and the
//! runtime guard that turns it around while it exists.
//!
//! Elsewhere the code asks [`Context::follows`] by the name of the rule, or [`Context::settle`] where the two sides give
//! answers that may differ and the release may not be known well enough. Everything that has no rule here is as
//! Envoy 1.40 does it.

use std::collections::BTreeSet;

use super::context::Context;
use super::walk::Walk;
use crate::dump::Version;

/// A change of behaviour: what holds from a release on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Header matchers test the values of a repeated header one by one; before, joined with commas.
    MatchesHeadersIndividually,
    /// RBAC does so, too.
    RbacMatchesHeadersIndividually,
    /// Header matchers see all values of a repeated header; before, the first one only.
    MatchesAllHeaderValues,
    /// `present_match: false` asks for a missing header; before, its value was ignored.
    PresentMatchHasValue,
    /// `present_match: false` of a query parameter asks for a missing one; before, its value was ignored.
    QueryPresentMatchHasValue,
    /// `ignore_path_parameters_in_path_matching` cuts each segment at its `;`; before, the path at the first one.
    StripsParametersOfEachSegment,
    /// RBAC looks at the path as the route does that ignores path parameters.
    RbacIgnoresPathParameters,
    /// `normalize_path` reads `..;x` and `.;x` as dot segments.
    StripsParametersOfDotSegments,
    /// A path with `#` is refused.
    RejectsFragment,
    /// What is not refused loses its fragment; before, it stayed part of the path.
    StripsFragment,
    /// `QUERY` is a method of the HTTP/1 codec.
    QueryIsAMethod,
    /// A `QUERY` without `content-type` is refused.
    QueryNeedsContentType,
    /// A whole URL in the request line is understood unless told otherwise; before, only if told so.
    AbsoluteUrlByDefault,
    /// The scheme of such a URL may be written in any case.
    AbsoluteUrlInAnyCase,
    /// The scheme of such a URL must be http, or https where the connection is encrypted or trusted.
    ValidatesScheme,
    /// Protocol errors of clients have the flag `DPE`.
    ProtocolErrorHasFlag,
    /// `te` is removed.
    RemovesTe,
    /// … but for `trailers`.
    KeepsTeTrailers,
    /// `x-envoy-original-path` is taken from no client outside.
    SanitizesOriginalPath,
    /// `x-forwarded-proto` of a trusted proxy before this one is kept.
    TrustsForwardedProto,
    /// No address is internal unless listed; before, the private ones were.
    OnlyListedAddressesAreInternal,
    /// The port of a CONNECT's authority is stripped like others.
    StripsPortOfConnect,
    /// http_inspector takes any token for a method; before, the methods it knows.
    InspectorTakesAnyMethod,
    /// The older http_inspector doesn't know `M-SEARCH`.
    InspectorForgotMSearch,
    /// SNI is compared without regard to case.
    SniIgnoresCase,
    /// A TLS inspector must be listed; before, Envoy added it where filter chains need it.
    TlsInspectorMustBeListed,
    /// `typed_per_filter_config` is looked up by the name of the filter; before, by that of its extension.
    OverridesByFilterName,
    /// … and by nothing else; before, by the name of the extension as well.
    OverridesByFilterNameOnly,
    /// All levels of header_mutation's overrides apply; before, the most specific one.
    HeaderMutationOfAllLevels,
    /// header_mutation encodes what it writes into the query.
    EncodesMutatedQuery,
    /// ext_authz is asked on routes that redirect or answer by themselves, too.
    ExtAuthzOnEveryRoute,
    /// A denial by ext_authz has the flag `UAEX`.
    ExtAuthzDenialHasFlag,
    /// A denial by RBAC names the policy in its details.
    RbacDetailsNamePolicy,
    /// RBAC's `principal_name` may be any SAN of the certificate; before, the first one.
    PrincipalIsAnySan,
    /// jwt_authn removes what clients send in headers that any provider writes, whatever rule applies.
    JwtSanitizesEveryHeader,
    /// jwt_authn removes a token that isn't forwarded from the query, too.
    JwtIsRemovedFromQuery,
    /// local_ratelimit takes tokens for all descriptors that match and by default; before, for the first one alone.
    LocalRateLimitCountsAll,
    /// … for descriptors before the default bucket.
    LocalRateLimitDescriptorsFirst,
    /// A used-up descriptor in shadow mode doesn't end the count.
    ShadowedLimitGoesOn,
    /// `path_redirect` keeps the query.
    PathRedirectKeepsQuery,
    /// `regex_rewrite` of a redirect gives the whole path; before, only what stands for a matched prefix.
    RegexRedirectGivesWholePath,
    /// A redirect keeps `:scheme`; before, x-forwarded-proto.
    RedirectKeepsScheme,
    /// A path template's rewrite keeps the query.
    TemplateRewriteKeepsQuery,
    /// `append_x_forwarded_host` adds no host that is there as the last one.
    ForwardedHostOnce,
    /// A rewritten host goes on in `x-envoy-original-host`.
    KeepsOriginalHost,
    /// A route to a cluster that doesn't exist has the flag `NC`; before, `NR`.
    MissingClusterHasFlag,
    /// Used-up retries have the flag `URX`.
    UsedUpRetriesHaveFlag,
    /// Hosts set to DRAINING don't count for availability and panic.
    ExcludesDrainingHosts,
    /// Hash policies read all values of a header; before, the first one.
    HashesAllHeaderValues,
    /// A connection's `envoy.lb` metadata takes part in the choice of a subset.
    SubsetByConnectionMetadata,
    /// A composite cluster passes over members without a usable host.
    CompositeSkipsEmptyMembers,
    /// A prefix tree finds a short prefix where the text goes on like a longer one.
    FindsShorterPrefix,
    /// A prefix tree goes on with a shorter prefix where the longest leads to no action.
    ResumesWithShorterPrefix,
    /// Regular expressions read texts and patterns as ISO 8859-1, byte by byte; before, as UTF-8.
    RegexReadsBytes,
    /// `*` and `**` of a path template take an asterisk.
    TemplateTakesAsterisk,
}

/// From when on a rule holds.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// Minor and patch of the first release.
    since: (u32, u32),
    /// First releases of older lines that it was brought to.
    backports: &'static [(u32, u32)],
    /// Releases of older lines from which on it may have been brought there, too.
    uncertain: &'static [(u32, u32)],
    guard: Option<Guard>,
    /// Where that is said.
    source: &'static str,
}

/// A runtime guard `envoy.reloadable_features.<name>`: `false` brings the old behaviour back.
#[derive(Debug, Clone, Copy)]
struct Guard {
    name: &'static str,
    /// Minor of the first release that knows it; where that is before the change, `true` brings the new behaviour.
    from: u32,
    /// Minor of the first release without it.
    until: u32,
}

/// A guard that no release has removed yet.
const STILL_THERE: u32 = u32::MAX;

/// The security releases of 26 and 27 August 2026.
const AUGUST_2026: &[(u32, u32)] = &[(38, 4), (37, 6), (36, 10)];

const fn since(minor: u32, source: &'static str) -> Change {
    Change { since: (minor, 0), backports: &[], uncertain: &[], guard: None, source }
}

impl Change {
    const fn patch(self, patch: u32) -> Self {
        Self { since: (self.since.0, patch), ..self }
    }

    const fn also(self, backports: &'static [(u32, u32)]) -> Self {
        Self { backports, ..self }
    }

    const fn perhaps(self, uncertain: &'static [(u32, u32)]) -> Self {
        Self { uncertain, ..self }
    }

    /// The guard that came with the change, until the minor release that removed it.
    const fn guarded(self, name: &'static str, until: u32) -> Self {
        Self { guard: Some(Guard { name, from: self.since.0, until }), ..self }
    }

    /// A guard that was there before the change, switched off.
    const fn guarded_from(self, from: u32, name: &'static str, until: u32) -> Self {
        Self { guard: Some(Guard { name, from, until }), ..self }
    }
}

impl Rule {
    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn change(self) -> Change {
        match self {
            Self::MatchesHeadersIndividually => {
                since(39, "1.39.0, http: HeaderMatcher of a header with several values")
                    .guarded("match_headers_individually", STILL_THERE)
            }
            Self::RbacMatchesHeadersIndividually => {
                since(38, "1.38.0, rbac: each header value individually (CVE-2026-26308)")
                    .also(&[(37, 1), (36, 5), (35, 9), (34, 13)])
                    .guarded("rbac_match_headers_individually", STILL_THERE)
            }
            Self::MatchesAllHeaderValues => since(16, "1.15.1, http: match on all headers (CVE-2020-25017)")
                .also(&[(15, 1), (14, 5), (13, 5), (12, 7)])
                .guarded("http_match_on_all_headers", 19),
            Self::PresentMatchHasValue => since(19, "1.19.0, http: present_match in the route header matcher"),
            Self::QueryPresentMatchHasValue => since(34, "1.34.0, router: present_match of query parameters")
                .guarded("enable_new_query_param_present_match_behavior", STILL_THERE),
            Self::StripsParametersOfEachSegment => {
                since(39, "1.39.1, url_normalization: individual path segments (CVE-2026-73511)")
                    .patch(1)
                    .also(AUGUST_2026)
                    .guarded("strip_path_parameters_per_segment", STILL_THERE)
            }
            Self::RbacIgnoresPathParameters => {
                since(39, "1.39.1, rbac: ignore_path_parameters_in_path_matching (CVE-2026-73553)")
                    .patch(1)
                    .also(AUGUST_2026)
                    .guarded("rbac_respect_ignore_path_parameters", STILL_THERE)
            }
            Self::StripsParametersOfDotSegments => {
                since(39, "1.39.1, url_normalization: dot and dotdot segments (CVE-2026-73551)")
                    .patch(1)
                    .also(AUGUST_2026)
                    .guarded("strip_dotdot_segments_with_parameters", STILL_THERE)
            }
            Self::RejectsFragment => since(20, "1.20.0, http: reject requests with #fragment (CVE-2021-32779)")
                .also(&[(19, 1), (18, 4), (17, 4), (16, 5)])
                .guarded("http_reject_path_with_fragment", STILL_THERE),
            Self::StripsFragment => since(20, "1.20.0, http: stripping the #fragment instead of rejecting")
                .also(&[(19, 1), (18, 4), (17, 4), (16, 5)])
                .guarded("http_strip_fragment_from_path_unsafe_if_disabled", 27),
            Self::QueryIsAMethod => since(40, "1.40.0, http: the QUERY request method in the HTTP/1 codec")
                .guarded("http1_allow_query_method", STILL_THERE),
            Self::QueryNeedsContentType => since(40, "1.40.0, http: QUERY whose Content-Type is missing"),
            Self::AbsoluteUrlByDefault => since(12, "1.12.0, http: absolute URL support is on by default"),
            Self::AbsoluteUrlInAnyCase => since(27, "1.27.0, http1: mixed case schemes in absolute urls")
                .guarded("allow_absolute_url_with_mixed_scheme", 30),
            Self::ValidatesScheme => since(18, "1.18.0, http: :scheme is set and validated for HTTP/1.1 requests")
                .guarded("add_and_validate_scheme_header", 21),
            Self::ProtocolErrorHasFlag => since(12, "1.12.0, access log: flag for downstream protocol error"),
            Self::RemovesTe => since(29, "1.29.0, http: remove the hop by hop TE header").guarded("sanitize_te", 33),
            Self::KeepsTeTrailers => since(30, "1.30.0, http: TE is kept if it is trailers"),
            Self::SanitizesOriginalPath => since(26, "1.26.0, http: x-envoy-original-path from untrusted users")
                .guarded("sanitize_original_path", 29),
            Self::TrustsForwardedProto => {
                since(12, "1.12.0, http: x-forwarded-proto from trusted proxies").guarded("trusted_forwarded_proto", 36)
            }
            Self::OnlyListedAddressesAreInternal => since(
                33,
                "1.33.0, http: RFC1918 addresses are not internal by default",
            )
            .guarded_from(32, "explicit_internal_address_config", 36),
            Self::StripsPortOfConnect => since(19, "1.19.0, http: port stripping works for CONNECT requests")
                .guarded("strip_port_from_connect", 22),
            Self::InspectorTakesAnyMethod => since(39, "1.39.0, http_inspector: the Balsa parser by default")
                .guarded_from(33, "http_inspector_use_balsa_parser", STILL_THERE),
            Self::InspectorForgotMSearch => since(38, "measured on 1.37.0 and 1.38.2"),
            Self::SniIgnoresCase => since(18, "1.18.0, filter_chain and sni: case-insensitive server name"),
            Self::TlsInspectorMustBeListed => since(17, "1.17.0, listener: no injection of the TLS inspector")
                .guarded("disable_tls_inspector_injection", 20),
            Self::OverridesByFilterName => {
                since(23, "1.23.0, router: per-filter config by the HTTP filter config name")
            }
            Self::OverridesByFilterNameOnly => since(29, "1.29.0, http: no name downgrading in per filter config")
                .guarded_from(28, "no_downgrade_to_canonical_name", 32),
            Self::HeaderMutationOfAllLevels => since(29, "1.29.0, header_mutation: all specified levels apply"),
            Self::EncodesMutatedQuery => since(38, "1.38.0, header_mutation: query parameter values are URL-encoded")
                .guarded("header_mutation_url_encode_query_params", STILL_THERE),
            Self::ExtAuthzOnEveryRoute => since(20, "1.20.0, ext_authz: direct responses and redirects")
                .guarded("http_ext_authz_do_not_skip_direct_response_and_redirect", 23),
            Self::ExtAuthzDenialHasFlag => since(21, "1.21.0, ext_authz: response flag UAEX when denied"),
            Self::RbacDetailsNamePolicy => since(16, "1.16.0, rbac filter: matched policy in the response code detail"),
            Self::PrincipalIsAnySan => since(13, "1.13.0, rbac: all subject alt names instead of the first"),
            Self::JwtSanitizesEveryHeader => {
                since(40, "1.40.0, jwt_authn: strips every configured header before applying rules")
                    .guarded("jwt_authn_sanitize_payload_headers_filter_wide", STILL_THERE)
            }
            Self::JwtIsRemovedFromQuery => since(31, "1.31.0, jwt_authn: forward and JWT in query parameters")
                .guarded("jwt_authn_remove_jwt_from_query_params", 36),
            Self::LocalRateLimitCountsAll => since(23, "1.23.0, local_ratelimit: tokens of all matched descriptors")
                .guarded("http_local_ratelimit_match_all_descriptors", 26),
            Self::LocalRateLimitDescriptorsFirst => {
                since(26, "1.26.0, local_ratelimit: descriptors before the default")
            }
            Self::ShadowedLimitGoesOn => since(40, "1.40.0, local_ratelimit: exhausted descriptor in shadow mode")
                .guarded("local_ratelimit_shadow_mode_no_short_circuit", STILL_THERE),
            Self::PathRedirectKeepsQuery => since(15, "1.15.0, router: path_redirect keeps query string")
                .guarded("preserve_query_string_in_path_redirects", 18),
            Self::RegexRedirectGivesWholePath => since(25, "1.25.0, router: regex_rewrite for redirects on a prefix"),
            Self::RedirectKeepsScheme => {
                since(20, "1.20.0, http: x-forwarded-proto and :scheme").guarded("correct_scheme_and_xfp", 23)
            }
            Self::TemplateRewriteKeepsQuery => since(25, "1.25.0, router: query of paths with path_rewrite_policy")
                .guarded("append_query_parameters_path_rewriter", 28),
            Self::ForwardedHostOnce => since(27, "1.27.0, http: append_x_forwarded_host only if different")
                .guarded("append_xfh_idempotent", 30),
            Self::KeepsOriginalHost => since(36, "measured on 1.40.0; of older releases it isn't known"),
            Self::MissingClusterHasFlag => since(18, "1.18.0, access_logs: NC for no cluster found instead of NR"),
            Self::UsedUpRetriesHaveFlag => since(10, "1.10.0, access log: flag for upstream retry count exceeded"),
            Self::ExcludesDrainingHosts => since(30, "1.30.0, upstream: hosts set to DRAINING via EDS are excluded")
                .guarded("exclude_host_in_eds_status_draining", 33),
            Self::HashesAllHeaderValues => {
                since(18, "1.18.0, http: hash multiple header values").guarded("hash_multiple_header_values", 22)
            }
            Self::SubsetByConnectionMetadata => since(36, "1.36.0, router: connection-level metadata of envoy.lb"),
            Self::CompositeSkipsEmptyMembers => since(40, "1.40.0, composite_cluster: sub-clusters without a host")
                .guarded("composite_cluster_skip_clusters_without_hosts", STILL_THERE),
            Self::FindsShorterPrefix => since(30, "1.30.0, prefix_matcher_tree: overlapping prefixes"),
            Self::ResumesWithShorterPrefix => {
                since(35, "1.35.0, matching: a prefix map resumes after a subtree's miss")
                    .guarded("prefix_map_matcher_resume_after_subtree_miss", 40)
            }
            Self::RegexReadsBytes => since(39, "measured: regular expressions, on 1.39.0 and 1.39.1")
                .patch(1)
                .perhaps(AUGUST_2026)
                .guarded("re2_use_latin1_mode", STILL_THERE),
            Self::TemplateTakesAsterisk => since(35, "1.35.0, url_template: wildcards match an asterisk")
                .guarded("uri_template_match_on_asterisk", 40),
        }
    }

    /// Where a proxy stands: what its release does by default, and what its runtime makes of it.
    fn side(self, proxy: Release, runtime: impl FnOnce(&str) -> Option<bool>) -> Side {
        let change = self.change();
        let by_release = proxy.side(&change);
        let Some(guard) = change.guard else { return by_release };
        let known = by_release != Side::Before || proxy.is_at_least(guard.from);
        if !known || proxy.is_at_least(guard.until) {
            return by_release;
        }
        match runtime(&format!("envoy.reloadable_features.{}", guard.name)) {
            // A release without the guard behaves as one whose guard is off.
            Some(false) => Side::Before,
            Some(true) if by_release == Side::Before => Side::After,
            Some(true) | None => by_release,
        }
    }
}

/// The side of a change that a release is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
    /// One or the other.
    Unsettled,
}

/// What is known of a proxy's release.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Release {
    Known {
        version: Version,
        is_development: bool,
    },
    /// The dump doesn't say: it is taken for one of the supported lines.
    Unknown,
}

/// The oldest line that was supported when 1.40 came out.
const OLDEST_SUPPORTED: u32 = 37;

impl Release {
    fn side(self, change: &Change) -> Side {
        let Self::Known { version, is_development } = self else {
            return if change.since.0 > OLDEST_SUPPORTED { Side::Unsettled } else { Side::After };
        };
        let reached = |(minor, patch): (u32, u32)| version >= Version { major: 1, minor, patch };
        let first = std::iter::once(&change.since).chain(change.backports);
        match first.copied().find(|(minor, _)| *minor == version.minor) {
            // A build from the branch between two releases may or may not have it yet.
            Some((_, patch)) if is_development && patch == version.patch => Side::Unsettled,
            Some(first) if reached(first) => Side::After,
            _ if reached(change.since) => Side::After,
            _ if change.uncertain.iter().any(|first| first.0 == version.minor && reached(*first)) => Side::Unsettled,
            _ => Side::Before,
        }
    }

    fn is_at_least(self, minor: u32) -> bool {
        match self {
            Self::Known { version, .. } => version >= Version { major: 1, minor, patch: 0 },
            Self::Unknown => minor != STILL_THERE,
        }
    }
}

/// Response flags as the proxy's release writes them.
pub(crate) fn name_flags(cx: &Context<'_>, flags: &mut BTreeSet<&'static str>) {
    if flags.contains("NC") && !cx.follows(Rule::MissingClusterHasFlag) {
        flags.remove("NC");
        flags.insert("NR");
    }
    if flags.contains("DPE") && !cx.follows(Rule::ProtocolErrorHasFlag) {
        flags.remove("DPE");
    }
    if flags.contains("URX") && !cx.follows(Rule::UsedUpRetriesHaveFlag) {
        flags.remove("URX");
    }
}

impl Context<'_> {
    fn side(&self, rule: Rule) -> Side {
        let release = self.cache.release(|| {
            self.proxy.envoy_version().map_or(Release::Unknown, |version| Release::Known {
                version,
                is_development: self.proxy.is_development_build(),
            })
        });
        rule.side(release, |key| self.switch(key))
    }

    /// Whether the proxy is on the new side of a change; one whose release isn't known well enough counts as new.
    pub(crate) fn follows(&self, rule: Rule) -> bool {
        self.side(rule) != Side::Before
    }

    /// The answer of the proxy's side of a change. Where the release isn't known well enough and the answers differ,
    /// both are held possible.
    pub(crate) fn settle<T: PartialEq>(
        &self,
        walk: &mut Walk,
        rule: Rule,
        before: impl FnOnce(&mut Walk) -> T,
        after: impl FnOnce(&mut Walk) -> T,
    ) -> T {
        match self.side(rule) {
            Side::Before => before(walk),
            Side::After => after(walk),
            Side::Unsettled => {
                let (before, after) = (before(walk), after(walk));
                let reason = format!("whether this proxy's Envoy has the change of {}", rule.change().source);
                if before == after || walk.assume_bool(&reason) { after } else { before }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::matcher::fixture::{answer, answers, proxy, proxy_with};

    fn release(minor: u32, patch: u32) -> Release {
        Release::Known { version: Version { major: 1, minor, patch }, is_development: false }
    }

    fn side(rule: Rule, minor: u32, patch: u32) -> Side {
        rule.side(release(minor, patch), |_| None)
    }

    #[test]
    fn a_rule_holds_from_its_release_on_and_in_the_lines_it_was_brought_to() {
        let rule = Rule::RbacMatchesHeadersIndividually;
        for (minor, patch, expected) in [
            (40, 0, Side::After),
            (38, 0, Side::After),
            (37, 1, Side::After),
            (37, 0, Side::Before),
            (36, 4, Side::Before),
            (36, 5, Side::After),
            (34, 12, Side::Before),
            (34, 13, Side::After),
            (33, 99, Side::Before),
        ] {
            assert_eq!(side(rule, minor, patch), expected, "1.{minor}.{patch}");
        }
        let rule = Rule::StripsParametersOfEachSegment;
        for (minor, patch, expected) in [
            (39, 0, Side::Before),
            (39, 1, Side::After),
            (38, 3, Side::Before),
            (38, 4, Side::After),
            (40, 0, Side::After),
        ] {
            assert_eq!(side(rule, minor, patch), expected, "1.{minor}.{patch}");
        }
    }

    #[test]
    fn of_a_backport_that_nobody_measured_both_sides_are_possible() {
        let of = |minor, patch| side(Rule::RegexReadsBytes, minor, patch);
        assert_eq!(
            (of(38, 3), of(38, 4), of(39, 0), of(39, 1)),
            (Side::Before, Side::Unsettled, Side::Before, Side::After)
        );
        let off = Rule::RegexReadsBytes.side(release(38, 4), |_| Some(false));
        assert_eq!(off, Side::Before);
    }

    #[test]
    fn a_guard_counts_only_in_the_releases_that_have_it() {
        let off = |rule: Rule, minor| rule.side(release(minor, 0), |_| Some(false));
        let on = |rule: Rule, minor| rule.side(release(minor, 0), |_| Some(true));
        let rule = Rule::OnlyListedAddressesAreInternal;
        assert_eq!((on(rule, 31), side(rule, 31, 0)), (Side::Before, Side::Before));
        assert_eq!((on(rule, 32), side(rule, 32, 0)), (Side::After, Side::Before));
        assert_eq!((off(rule, 33), side(rule, 33, 0)), (Side::Before, Side::After));
        assert_eq!((off(rule, 35), off(rule, 36)), (Side::Before, Side::After));
        assert_eq!(off(Rule::MatchesHeadersIndividually, 40), Side::Before);
        assert_eq!(on(Rule::MatchesHeadersIndividually, 38), Side::Before);
        // A backport brings the guard along.
        let reverted = Rule::RbacMatchesHeadersIndividually.side(release(36, 5), |_| Some(false));
        assert_eq!(reverted, Side::Before);
    }

    #[test]
    fn a_build_between_releases_is_unsettled_where_a_patch_brought_the_change() {
        let of = |minor, patch| {
            let version = Version { major: 1, minor, patch };
            let release = Release::Known { version, is_development: true };
            Rule::RbacMatchesHeadersIndividually.side(release, |_| None)
        };
        assert_eq!((of(37, 1), of(37, 2), of(37, 0)), (Side::Unsettled, Side::After, Side::Before));
        assert_eq!((of(38, 0), of(38, 1), of(36, 5)), (Side::Unsettled, Side::After, Side::Unsettled));
    }

    #[test]
    fn a_dump_without_a_version_is_of_a_supported_line() {
        let of = |rule: Rule| rule.side(Release::Unknown, |_| None);
        assert_eq!(of(Rule::PresentMatchHasValue), Side::After);
        assert_eq!(of(Rule::MatchesHeadersIndividually), Side::Unsettled);
        let off = |rule: Rule| rule.side(Release::Unknown, |_| Some(false));
        assert_eq!(
            (off(Rule::MatchesHeadersIndividually), off(Rule::SanitizesOriginalPath)),
            (Side::Before, Side::After)
        );
    }

    #[test]
    fn both_sides_are_held_possible_where_they_differ_and_the_release_is_not_known() {
        let rule = Rule::MatchesHeadersIndividually;
        let differ = |cx: &Context<'_>, walk: &mut Walk| cx.settle(walk, rule, |_| 1, |_| 2);
        assert_eq!(answer(&proxy(38), differ), 1);
        assert_eq!(answer(&proxy(39), differ), 2);
        let guarded = json!({"envoy.reloadable_features.match_headers_individually": false});
        assert_eq!(answer(&proxy_with(40, &guarded, &json!({})), differ), 1);
        let unsaid = crate::trace::matcher::fixture::proxy_without_version();
        assert_eq!(answers(&unsaid, differ).0, [1, 2]);
        assert_eq!(answer(&unsaid, |cx, walk| cx.settle(walk, rule, |_| 1, |_| 1)), 1);
    }
}
