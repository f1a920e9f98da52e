//! What a chain asks of a client's certificate (measured on 1.40).

use super::context::Context;
use super::matcher::string::string_matches;
use super::request::ClientCertificate;
use super::walk::Walk;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;

/// The validation context of a chain, as far as the dump shows it.
pub(super) struct Validation<'a> {
    context: Option<&'a CertificateValidationContext>,
    /// Whether there is a CA to check certificates with; one that comes by SDS is taken to have arrived.
    pub(super) has_ca: bool,
    /// Whether certificates that don't pass are let through.
    pub(super) accepts_untrusted: bool,
}

impl<'a> Validation<'a> {
    pub(super) fn of(config: Option<&'a ValidationContextType>) -> Self {
        let (context, by_sds) = match config {
            Some(ValidationContextType::ValidationContext(context)) => (Some(context), false),
            Some(ValidationContextType::CombinedValidationContext(combined)) => {
                (combined.default_validation_context.as_ref(), true)
            }
            Some(_) => (None, true),
            None => (None, false),
        };
        let has_own_ca = context.is_some_and(|context| {
            context.trusted_ca.is_some()
                || context.ca_certificate_provider_instance.is_some()
                || context.system_root_certs.is_some()
        });
        let verification = context.map_or(0, |context| context.trust_chain_verification);
        Self {
            context,
            has_ca: by_sds || has_own_ca,
            accepts_untrusted: verification == TrustChainVerification::AcceptUntrusted as i32,
        }
    }

    /// Whether there is more to check than the chain of trust: a certificate is required then.
    fn has_names_or_hashes(&self) -> bool {
        self.context.is_some_and(|context| {
            !context.match_typed_subject_alt_names.is_empty()
                || !context.match_subject_alt_names.is_empty()
                || has_hashes(context)
        })
    }

    /// Whether a client is asked for a certificate.
    pub(super) fn asks(&self) -> bool {
        self.has_ca || self.accepts_untrusted || self.has_names_or_hashes()
    }

    /// Whether a client without a certificate is refused: without a CA to check it with, none is required.
    pub(super) fn wants(&self, requires: bool) -> bool {
        requires && self.has_ca || self.has_names_or_hashes() && !self.accepts_untrusted
    }

    /// Why a certificate that the CA has signed doesn't pass.
    pub(super) fn refuses(&self, cx: &Context<'_>, walk: &mut Walk, certificate: &ClientCertificate) -> Option<String> {
        let context = self.context?;
        let shown =
            certificate.uri_sans.first().or(certificate.dns_sans.first()).map_or("without a name", String::as_str);
        if !has_a_name(cx, walk, context, certificate) {
            return Some(format!(
                "the client's certificate ({shown}) has none of the subject alternative names that the chain accepts"
            ));
        }
        // Those who are let through anyway need no question.
        if !has_hashes(context) || self.accepts_untrusted {
            return None;
        }
        let fits = walk.assume_bool("whether the hash of the client's certificate is one of those the chain accepts");
        (!fits).then(|| format!("the client's certificate ({shown}) has none of the hashes that the chain accepts"))
    }
}

fn has_hashes(context: &CertificateValidationContext) -> bool {
    !context.verify_certificate_hash.is_empty() || !context.verify_certificate_spki.is_empty()
}

fn has_a_name(
    cx: &Context<'_>,
    walk: &mut Walk,
    context: &CertificateValidationContext,
    certificate: &ClientCertificate,
) -> bool {
    let (typed, untyped) = (&context.match_typed_subject_alt_names, &context.match_subject_alt_names);
    if typed.is_empty() && untyped.is_empty() {
        return true;
    }
    let names = |san_type: i32| match SanType::try_from(san_type) {
        Ok(SanType::Uri) => certificate.uri_sans.as_slice(),
        Ok(SanType::Dns) => certificate.dns_sans.as_slice(),
        _ => &[],
    };
    let of_type = typed.iter().any(|m| {
        let Some(matcher) = &m.matcher else { return false };
        names(m.san_type).iter().any(|name| string_matches(cx, walk, matcher, name))
    });
    let mut all = certificate.uri_sans.iter().chain(&certificate.dns_sans);
    of_type || all.any(|name| untyped.iter().any(|m| string_matches(cx, walk, m, name)))
}
