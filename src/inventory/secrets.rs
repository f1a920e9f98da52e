//! Secrets and the certificates in them (spec/istioctl.md §1.5).

use jiff::Timestamp;
use serde::Serialize;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;

use super::Listing;
use crate::dump::{DecodeError, Proxy, Resource, State, decode_any, type_of};
use crate::proto::envoy::config::core::v3::{DataSource, data_source::Specifier};
use crate::proto::envoy::extensions::transport_sockets::tls::v3::{Secret, SpiffeCertValidatorConfig, secret};

/// One certificate of a secret, or a secret without one that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    /// Name of the secret.
    pub name: String,
    /// What the certificate is for: `Cert Chain` or `CA`; empty if there is none to be read.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same as istioctl has it, which calls every certificate a CA's that says so itself.
    #[serde(skip)]
    pub istioctl_kind: &'static str,
    /// State of the secret.
    pub state: String,
    /// The certificate; only the first of a chain or bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateRow>,
    /// Trust domain of the certificate's SPIFFE id, or of the bundle that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateRow {
    /// Whether the time that ages are counted to lies between the two below.
    pub valid: bool,
    /// Serial number, hexadecimal, at least 32 digits.
    pub serial: String,
    /// RFC 3339.
    pub not_after: String,
    /// RFC 3339.
    pub not_before: String,
    /// Subject, RFC 4514.
    pub subject: String,
    /// Issuer, RFC 4514.
    pub issuer: String,
    /// Subject alternative names: `URI:spiffe://…`, `DNS:…`.
    pub names: Vec<String>,
}

/// The secrets delivered by SDS: those that wait, then those in force. Certificates are valid or not at `as_of`, else at
/// the newest time of the input.
#[must_use]
pub fn secrets(proxy: &Proxy, as_of: Option<Timestamp>) -> Listing<SecretRow> {
    let as_of = as_of.or_else(|| super::summary::newest(proxy));
    let of_state = |state| proxy.secrets().iter().filter(move |secret| secret.state == state);
    let mut listing = Listing { rows: Vec::new(), warnings: Vec::new() };
    for resource in of_state(State::Warming).chain(of_state(State::Active)) {
        match rows(resource, as_of) {
            Ok(rows) => listing.rows.extend(rows),
            Err(error) => listing.warnings.push(format!("secret {:?} is left out: {error}", resource.name)),
        }
    }
    listing
}

fn rows(resource: &Resource<Secret>, as_of: Option<Timestamp>) -> Result<Vec<SecretRow>, DecodeError> {
    let row = |source: Option<&DataSource>, kind: &str, trust_domain: Option<&str>| {
        let certificate = source.and_then(pem).map(|(certificate, is_ca)| (read(&certificate, as_of), is_ca));
        SecretRow {
            name: resource.name.clone(),
            kind: match &certificate {
                Some(((Some(_), _), _)) => kind.to_owned(),
                _ => String::new(),
            },
            istioctl_kind: match &certificate {
                Some(((Some(_), _), true)) => "CA",
                Some(((Some(_), _), false)) => "Cert Chain",
                _ => "",
            },
            state: resource.state.to_string(),
            trust_domain: trust_domain
                .map(str::to_owned)
                .or_else(|| certificate.as_ref().and_then(|((_, domain), _)| domain.clone())),
            certificate: certificate.and_then(|((certificate, _), _)| certificate),
        }
    };
    Ok(match resource.get().map_err(Clone::clone)?.r#type.as_ref() {
        Some(secret::Type::TlsCertificate(chain)) => vec![row(chain.certificate_chain.as_ref(), "Cert Chain", None)],
        Some(secret::Type::ValidationContext(context)) => {
            let custom = context.custom_validator_config.as_ref().and_then(|config| config.typed_config.as_ref());
            match (&context.trusted_ca, custom) {
                (None, Some(any)) if type_of(any).ends_with("SPIFFECertValidatorConfig") => {
                    let config: SpiffeCertValidatorConfig = decode_any(any)?;
                    let domains = config.trust_domains.iter();
                    domains.map(|domain| row(domain.trust_bundle.as_ref(), "CA", Some(&domain.name))).collect()
                }
                (ca, _) => vec![row(ca.as_ref(), "CA", None)],
            }
        }
        _ => vec![row(None, "", None)],
    })
}

/// The first certificate of inline bytes, and whether it is a CA's.
fn pem(source: &DataSource) -> Option<(Vec<u8>, bool)> {
    let Some(Specifier::InlineBytes(bytes)) = &source.specifier else { return None };
    let pem = Pem::iter_from_buffer(bytes).next()?.ok()?;
    let is_ca = pem.parse_x509().ok()?.is_ca();
    Some((pem.contents, is_ca))
}

/// The first certificate of a chain or bundle.
pub(crate) struct FirstCertificate {
    pub(crate) certificate: CertificateRow,
    pub(crate) is_ca: bool,
    pub(crate) trust_domain: Option<String>,
}

/// The first certificate of PEM text, valid or not at `as_of`.
pub(crate) fn first_certificate(pem: &[u8], as_of: Option<Timestamp>) -> Option<FirstCertificate> {
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let is_ca = pem.parse_x509().ok()?.is_ca();
    let (certificate, trust_domain) = read(&pem.contents, as_of);
    Some(FirstCertificate { certificate: certificate?, is_ca, trust_domain })
}

/// What the certificate says, and the trust domain of its last SPIFFE id.
fn read(der: &[u8], as_of: Option<Timestamp>) -> (Option<CertificateRow>, Option<String>) {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else { return (None, None) };
    let validity = certificate.validity();
    let names = names(&certificate);
    let spiffe = names.iter().rev().find_map(|name| name.strip_prefix("URI:spiffe://"));
    let trust_domain = spiffe.map(|id| id.split('/').next().unwrap_or_default().to_owned());
    let now = as_of.map(Timestamp::as_second);
    let row = CertificateRow {
        valid: now.is_some_and(|now| validity.not_before.timestamp() < now && now < validity.not_after.timestamp()),
        serial: format!(
            "{:0>32}",
            certificate
                .raw_serial()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .trim_start_matches('0')
        ),
        not_after: time(validity.not_after),
        not_before: time(validity.not_before),
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
    };
    (Some(row), trust_domain)
}

fn time(time: ASN1Time) -> String {
    Timestamp::from_second(time.timestamp()).map(|time| time.to_string()).unwrap_or_default()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| format!("IP:{}", std::net::Ipv4Addr::from(bytes))),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| format!("IP:{}", std::net::Ipv6Addr::from(bytes))),
            _ => None,
        },
        _ => None,
    });
    names.collect()
}
