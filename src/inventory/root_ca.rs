//! The root certificates that a proxy of Istio trusts.

use x509_parser::pem::Pem;

use crate::dump::{DecodeError, Proxy, State};
use crate::proto::envoy::config::core::v3::data_source::Specifier;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::secret;

/// Name of the secret that Istio's agent delivers them by.
const NAME: &str = "ROOTCA";

/// Why a proxy's root certificates can't be told.
#[derive(Debug, thiserror::Error)]
pub enum RootCaError {
    /// It has no such secret in force.
    #[error("no secret {NAME} is in force")]
    Absent,
    /// The secret can't be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// The secret holds no certificate.
    #[error("the secret {NAME} holds no certificate")]
    Empty,
}

/// The certificates of the secret `ROOTCA`, as DER.
///
/// # Errors
///
/// When there is none, or it can't be read.
pub fn root_certificates(proxy: &Proxy) -> Result<Vec<Vec<u8>>, RootCaError> {
    let secrets = proxy.secrets().iter();
    let mut secrets = secrets.filter(|secret| secret.name == NAME && secret.state == State::Active);
    let secret = secrets.next().ok_or(RootCaError::Absent)?.decode()?;
    let Some(secret::Type::ValidationContext(context)) = &secret.r#type else { return Err(RootCaError::Empty) };
    let bytes = match context.trusted_ca.as_ref().and_then(|ca| ca.specifier.as_ref()) {
        Some(Specifier::InlineBytes(bytes)) => bytes.as_ref(),
        Some(Specifier::InlineString(text)) => text.as_bytes(),
        _ => return Err(RootCaError::Empty),
    };
    let certificates: Vec<Vec<u8>> =
        Pem::iter_from_buffer(bytes).filter_map(Result::ok).map(|pem| pem.contents).collect();
    if certificates.is_empty() { Err(RootCaError::Empty) } else { Ok(certificates) }
}
