//! What a real Envoy does, rule by rule, and what the tracer says of it.
//!
//! A test has the name of its case, a folder under `testdata/semantics/`: `s1` to `s6` and `n1` to `n45` are the lines of
//! `../shared/spec/envoy-observed.md` under "Semantics", `gap_…` is what that page leaves out. What the cases hold was
//! recorded from Envoy 1.40 by `record.py` in this folder, which CI runs again to see that neither drifts from the other.
//! To add a case, write its `scenario.json`, record it, and name it here.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

mod case;
mod versions;

use std::collections::BTreeSet;
use std::fs;

/// A test for each case; behind the arrow, the requests that its files can't decide, and why.
macro_rules! cases {
    (@undecided) => { &[] };
    (@undecided $unknown:expr) => { &$unknown };
    ($($(#[$doc:meta])* $name:ident $(=> $unknown:expr)?;)+) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                case::agrees(stringify!($name), cases!(@undecided $($unknown)?));
            }
        )+

        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

cases! {
    s1_filter_chain_choice_can_be_a_coin_flip;
    s2_repeated_headers_match_individually;
    s2_repeated_headers_were_joined_before;
    s3_network_rbac_denies_at_the_first_byte;
    /// Whether an authorization server can be reached isn't in a dump, unless its cluster has no endpoint.
    s4_jwt_401_has_no_flag_ext_authz_error_has_uaex => [
        ("ext_authz-ok", "ext_authz decision"),
        ("ext_authz-none", "ext_authz decision"),
        ("ext_authz-direct", "ext_authz decision"),
    ];
    s5_loopback_is_exactly_127_0_0_1;
    s6_query_parameters_are_compared_raw;

    n1_hand_off_exact_then_wildcard_then_itself;
    n2_order_of_filter_chain_criteria;
    n3_no_backtracking;
    n4_destination_port_is_the_restored_one;
    n5_sni_exact_then_longest_suffix;
    n6_without_tls_inspector_tls_is_raw_buffer;
    n7_client_alpn_order_decides;
    n8_direct_source_is_the_physical_peer;
    n9_matcher_unknown_chain_name_is_nr;
    n10_sni_cluster_overrides_tcp_proxy_cluster;
    n11_tcp_proxy_nc_uh_uf_urx;
    n12_nr_only_in_the_listener_log;

    n13_no_host_is_400;
    n14_fragment_is_400;
    n15_normalize_path;
    n16_strip_port;
    n17_x_envoy_internal_is_dropped;
    n18_absolute_form_host_replaces_host;

    n19_vhost_exact_suffix_prefix_star;
    n20_vhost_header_replaces_authority;
    n21_nr_with_and_without_vhost;
    n22_first_match_wins;
    n23_path_header_includes_query;
    n24_connect_matches_only_connect_matcher;
    n25_header_specifiers;
    n26_range_match;
    n27_grpc;
    n28_uri_template;
    n29_weighted_with_header_name;
    n30_redirects;
    n31_prefix_rewrite_is_literal;
    n32_auto_host_rewrite;
    n33_upgrade_not_enabled_is_403;
    n34_vhost_matcher;

    n35_filter_order_and_rbac;
    n36_rbac_url_path_has_no_query;
    n37_jwt_first_matching_rule;

    n38_panic;
    n39_health;
    n40_spill;
    n41_subset;
    n42_circuit_breakers;
    n43_locality_weight_missing;
    n44_uf_after_retries;
    n45_aggregate_original_dst_internal_listener;

    /// The identity that a request gets, its size on the wire and the moment are in no dump.
    gap_cel_of_requests => [("protocol-*", "request.protocol"), ("id-*", "request.id"), ("total_size-*", "total_size")];
    gap_cel_functions_and_connections => [
        ("source_address-*", "source.address"),
        ("request_time-*", "request.time"),
        ("node-*", "attribute xds"),
        ("route_name-*", "attribute xds"),
        ("vhost-*", "attribute xds"),
        ("listener_direction-*", "attribute xds"),
        ("filter_chain-*", "attribute xds"),
    ];
    gap_cel_in_network_rbac => [("address-*", "source.address")];
    gap_fractions_between_none_and_all;
    gap_runtime_keys_of_a_static_layer;
    gap_runtime_keys_without_layers;
    gap_ejected_hosts;
    gap_rejected_resources;
    gap_warming_resources;
    gap_hash_policies;
    /// Whether a connection is refused is in no dump; with that said, the flags of retries follow.
    gap_retries;
    /// What the code of others does is in no dump; the outcome is among those held possible all the same.
    gap_opaque_filters => [
        ("lua", "Lua may answer"),
        ("lua-reply", "Lua may answer"),
        ("no-route", "Lua may answer"),
        ("ext-proc", "external processor"),
        ("ratelimit", "rate limit decision"),
    ];
    gap_internal_listeners_in_a_chain;
    gap_ipv6;
    gap_sni_spellings;
    gap_additional_addresses;
    gap_headers_that_http2_refuses;
    gap_on_demand_clusters => [("unknown", "loaded on demand")];

    gap_cdn_loop;
    gap_client_certificates;
    gap_cluster_of_a_matcher;
    gap_connect;
    gap_content_lengths;
    gap_dots_with_parameters;
    gap_forwarded_client;
    gap_hosts_from_paths;
    gap_http1_heads;
    gap_http2_fields;
    gap_patterns;
    gap_proxy_protocol_versions;
    gap_rejected_routes;
    gap_schemes;
    gap_tunnels;
    gap_weighted_clusters_by_hash;
}

#[test]
fn shares_are_those_of_the_weights() {
    let shares = case::shares("n29_weighted_with_header_name", "missing", "cluster");
    assert_eq!(shares, [("\"c1\"".to_owned(), 0.1), ("\"c2\"".to_owned(), 0.9)].into());
    let shares = case::shares("gap_fractions_between_none_and_all", "abort", "status");
    assert_eq!(shares, [("200".to_owned(), 0.5), ("418".to_owned(), 0.5)].into());
    let shares = case::shares("gap_fractions_between_none_and_all", "route-two", "cluster");
    assert_eq!(shares, [("\"c1\"".to_owned(), 0.5), ("\"c2\"".to_owned(), 0.25), ("\"c3\"".to_owned(), 0.25)].into());
}

#[test]
fn every_case_has_its_test() {
    let entries = fs::read_dir(case::root()).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<String> =
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(folders, NAMES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn every_line_of_the_observations_has_its_test() {
    let page = case::root().join("../../../shared/spec/envoy-observed.md");
    let Ok(text) = fs::read_to_string(&page) else {
        eprintln!("left out: {} is not there", page.display());
        return;
    };
    let section = text.split("\n## ").find(|section| section.starts_with("Semantics")).unwrap();
    let numbers: Vec<String> = section
        .lines()
        .filter_map(|line| match line.strip_prefix("- S") {
            Some(rest) => Some(format!("s{}", rest.split(' ').next()?)),
            None => line.split_once(". ")?.0.parse::<u32>().ok().map(|number| format!("n{number}")),
        })
        .collect();
    assert!(numbers.len() > 50, "only {} lines were found", numbers.len());
    let is_tested = |number: &String| NAMES.iter().any(|name| name.split('_').next() == Some(number));
    let untested: Vec<&String> = numbers.iter().filter(|number| !is_tested(number)).collect();
    assert!(untested.is_empty(), "without a test: {untested:?}");
}
