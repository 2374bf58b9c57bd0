//! TLS for the network backends: rustls with ring, trusting what the operating system trusts.
//!
//! Where a Unix system keeps its certificates may be said by `SSL_CERT_FILE` and `SSL_CERT_DIR`, as for every program on
//! it. Nothing else is read from the environment.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::BackendError;

/// A client's configuration. `extra_roots` are trusted beside the system's.
///
/// A system without certificates (a slim container) still gets a client: plain HTTP works then, and every https
/// connection fails, because nobody is trusted.
pub(crate) fn client_config(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, BackendError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| BackendError::failed("TLS", &error))?;
    let verifier = match extra_roots {
        [] => Verifier::new(provider),
        roots => Verifier::new_with_extra_roots(roots.iter().cloned(), provider),
    };
    Ok(match verifier {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        Err(error) if extra_roots.is_empty() => {
            tracing::warn!(target: "cis_skill", "no https until the system has CA certificates: {error}");
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
        Err(error) => return Err(BackendError::failed("a root certificate of the policy", &error)),
    })
}
