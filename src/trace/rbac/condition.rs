//! Permissions and principals of a policy.

use super::Seen;
use crate::dump::type_of;
use crate::proto::envoy::config::core::v3::TypedExtensionConfig;
use crate::proto::envoy::config::rbac::v3::permission::Rule;
use crate::proto::envoy::config::rbac::v3::principal::{Authenticated, Identifier};
use crate::proto::envoy::config::rbac::v3::{MetadataSource, Permission, Principal, SourcedMetadata};
use crate::proto::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use crate::proto::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use crate::proto::envoy::r#type::matcher::v3::{FilterStateMatcher, MetadataMatcher, PathMatcher};
use crate::trace::context::{Context, Subject};
use crate::trace::matcher::cidr;
use crate::trace::matcher::header::rbac_header_matches;
use crate::trace::matcher::metadata::{filter_state_matches, metadata_matches, path_matches};
use crate::trace::matcher::string::string_matches;
use crate::trace::matcher::uri_template::template_matches;
use crate::trace::request::path_only;
use crate::trace::route::without_parameters;
use crate::trace::version::Rule as Change;
use crate::trace::walk::Walk;

/// Deepest nesting of and, or, not that is followed.
const MAX_DEPTH: u32 = 64;

/// Evaluates the conditions of policies on one connection or request.
pub(super) struct Conditions<'c, 's> {
    pub(super) cx: &'c Context<'c>,
    pub(super) seen: &'s Seen<'s>,
}

impl Conditions<'_, '_> {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { connection: self.seen.connection, stream: self.seen.stream }
    }

    pub(super) fn permission(&self, walk: &mut Walk, permission: &Permission) -> bool {
        self.permission_at(walk, permission, MAX_DEPTH)
    }

    pub(super) fn principal(&self, walk: &mut Walk, principal: &Principal) -> bool {
        self.principal_at(walk, principal, MAX_DEPTH)
    }

    fn permission_at(&self, walk: &mut Walk, permission: &Permission, depth: u32) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return walk.assume_bool(&format!("an RBAC permission nested deeper than {MAX_DEPTH}: does it match?"));
        };
        let connection = self.seen.connection;
        match &permission.rule {
            Some(Rule::AndRules(set)) => set.rules.iter().all(|rule| self.permission_at(walk, rule, deeper)),
            Some(Rule::OrRules(set)) => set.rules.iter().any(|rule| self.permission_at(walk, rule, deeper)),
            Some(Rule::NotRule(rule)) => !self.permission_at(walk, rule, deeper),
            Some(Rule::Any(_)) => true,
            Some(Rule::Header(matcher)) => rbac_header_matches(self.cx, walk, matcher, self.seen.headers),
            Some(Rule::UrlPath(matcher)) => self.path(walk, matcher),
            Some(Rule::DestinationIp(range)) => cidr::contains(range, connection.local.ip()),
            Some(Rule::DestinationPort(port)) => u32::from(connection.local.port()) == *port,
            Some(Rule::DestinationPortRange(range)) => {
                let port = i32::from(connection.local.port());
                range.start <= port && port < range.end
            }
            Some(Rule::Metadata(matcher)) => self.dynamic_metadata(walk, matcher),
            Some(Rule::SourcedMetadata(sourced)) => self.sourced_metadata(walk, sourced),
            Some(Rule::RequestedServerName(matcher)) => {
                string_matches(self.cx, walk, matcher, connection.server_name.as_deref().unwrap_or_default())
            }
            Some(Rule::UriTemplate(extension)) => self.uri_template(walk, extension),
            Some(Rule::Matcher(extension)) => {
                walk.assume_bool(&format!("RBAC matcher extension {:?}: does it match?", extension.name))
            }
            None => walk.assume_bool("an RBAC permission of unknown kind: does it match?"),
        }
    }

    fn principal_at(&self, walk: &mut Walk, principal: &Principal, depth: u32) -> bool {
        let Some(deeper) = depth.checked_sub(1) else {
            return walk.assume_bool(&format!("an RBAC principal nested deeper than {MAX_DEPTH}: does it match?"));
        };
        let connection = self.seen.connection;
        match &principal.identifier {
            Some(Identifier::AndIds(set)) => set.ids.iter().all(|id| self.principal_at(walk, id, deeper)),
            Some(Identifier::OrIds(set)) => set.ids.iter().any(|id| self.principal_at(walk, id, deeper)),
            Some(Identifier::NotId(id)) => !self.principal_at(walk, id, deeper),
            Some(Identifier::Any(_)) => true,
            Some(Identifier::Authenticated(wanted)) => self.authenticated(walk, wanted),
            Some(Identifier::SourceIp(range)) => cidr::contains(range, connection.remote.ip()),
            Some(Identifier::DirectRemoteIp(range)) => cidr::contains(range, connection.direct_remote.ip()),
            Some(Identifier::RemoteIp(range)) => {
                let remote = self.seen.stream.map_or(connection.remote, |stream| stream.remote);
                cidr::contains(range, remote.ip())
            }
            Some(Identifier::Header(matcher)) => rbac_header_matches(self.cx, walk, matcher, self.seen.headers),
            Some(Identifier::UrlPath(matcher)) => self.path(walk, matcher),
            Some(Identifier::Metadata(matcher)) => self.dynamic_metadata(walk, matcher),
            Some(Identifier::SourcedMetadata(sourced)) => self.sourced_metadata(walk, sourced),
            Some(Identifier::FilterState(matcher)) => self.filter_state(walk, matcher),
            Some(Identifier::Custom(extension)) => self.custom(walk, extension),
            None => walk.assume_bool("an RBAC principal of unknown kind: does it match?"),
        }
    }

    fn path(&self, walk: &mut Walk, matcher: &PathMatcher) -> bool {
        self.by_path(walk, |walk, path| path_matches(self.cx, walk, matcher, path))
    }

    /// A test of the path as the request has it, or as the route saw it.
    fn by_path(&self, walk: &mut Walk, test: impl Fn(&mut Walk, &str) -> bool) -> bool {
        let Some(path) = self.seen.headers.get(":path") else { return false };
        if !self.seen.route.ignores_path_parameters || !path.contains(';') {
            return test(walk, path);
        }
        let plain = without_parameters(path_only(path));
        self.cx.settle(walk, Change::RbacIgnoresPathParameters, |walk| test(walk, path), |walk| test(walk, &plain))
    }

    fn dynamic_metadata(&self, walk: &mut Walk, matcher: &MetadataMatcher) -> bool {
        match self.seen.stream {
            Some(stream) => metadata_matches(self.cx, walk, matcher, &stream.metadata),
            None => metadata_matches(self.cx, walk, matcher, &self.seen.connection.metadata),
        }
    }

    fn sourced_metadata(&self, walk: &mut Walk, sourced: &SourcedMetadata) -> bool {
        let Some(matcher) = &sourced.metadata_matcher else { return false };
        match sourced.metadata_source() {
            MetadataSource::Dynamic => self.dynamic_metadata(walk, matcher),
            // Without a route there is nothing to match, inverted or not.
            MetadataSource::Route => {
                self.seen.route.metadata.is_some_and(|m| metadata_matches(self.cx, walk, matcher, m))
            }
        }
    }

    fn filter_state(&self, walk: &mut Walk, matcher: &FilterStateMatcher) -> bool {
        let value = match self.seen.stream {
            Some(stream) => stream.filter_state(&matcher.key),
            None => self.seen.connection.filter_state.get(&matcher.key).map(String::as_str),
        };
        filter_state_matches(self.cx, walk, matcher, value)
    }

    /// Any TLS connection if no name is wanted; else a URI or DNS name of the client's certificate, or its subject.
    fn authenticated(&self, walk: &mut Walk, wanted: &Authenticated) -> bool {
        let connection = self.seen.connection;
        if !connection.tls {
            return false;
        }
        let Some(matcher) = &wanted.principal_name else { return true };
        let peer = connection.peer.clone().unwrap_or_default();
        if !self.cx.follows(Change::PrincipalIsAnySan) {
            let first = peer.uri_sans.first().or(peer.dns_sans.first()).unwrap_or(&peer.subject);
            return string_matches(self.cx, walk, matcher, first);
        }
        let mut names = peer.uri_sans.iter().chain(&peer.dns_sans).chain(std::iter::once(&peer.subject));
        names.any(|name| string_matches(self.cx, walk, matcher, name))
    }

    fn uri_template(&self, walk: &mut Walk, extension: &TypedExtensionConfig) -> bool {
        let template = extension.typed_config.as_ref().map(|any| self.cx.cache.decode::<UriTemplateMatchConfig>(any));
        match template {
            Some(Ok(template)) => {
                self.by_path(walk, |_, path| template_matches(self.cx, &template.path_template, path).is_some())
            }
            _ => walk.assume_bool(&format!("RBAC URI template {:?}: does it match?", extension.name)),
        }
    }

    fn custom(&self, walk: &mut Walk, extension: &TypedExtensionConfig) -> bool {
        let unknown = |walk: &mut Walk| {
            walk.assume_bool(&format!("RBAC principal extension {:?}: does it match?", extension.name))
        };
        let Some(any) = &extension.typed_config else { return unknown(walk) };
        if type_of(any) != "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config" {
            return unknown(walk);
        }
        let Ok(config) = self.cx.cache.decode::<MtlsAuthenticated>(any) else { return unknown(walk) };
        let connection = self.seen.connection;
        let Some(peer) = connection.peer.as_ref().filter(|_| connection.peer_validated) else { return false };
        let Some(san) = &config.san_matcher else { return config.any_validated_client_certificate };
        let names = match san.san_type() {
            SanType::Uri => &peer.uri_sans,
            SanType::Dns => &peer.dns_sans,
            _ => return unknown(walk),
        };
        let matcher = san.matcher.as_ref();
        matcher.is_some_and(|matcher| names.iter().any(|name| string_matches(self.cx, walk, matcher, name)))
    }
}
