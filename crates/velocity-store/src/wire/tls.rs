//! TLS as libpq's `sslmode` defines it, and the channel binding that ties SCRAM to it.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Config, ConnectError, Host, SslMode, SslRoots};

/// Secures an open socket.
pub(super) async fn handshake(config: &Config, tcp: TcpStream) -> Result<TlsStream<TcpStream>, ConnectError> {
    let Host::Tcp(host) = &config.host else {
        return Err(setup("a Unix socket has no TLS", None));
    };
    let name = ServerName::try_from(host.clone())
        .map_err(|error| setup(format!("host {host:?} cannot be a TLS server's name"), Some(error.into())))?;
    let client = client_config(config)?;
    TlsConnector::from(Arc::new(client))
        .connect(name, tcp)
        .await
        .map_err(|source| ConnectError::TlsHandshake { address: config.address(), source })
}

fn setup(
    problem: impl Into<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
) -> ConnectError {
    ConnectError::TlsSetup { problem: problem.into(), source }
}

/// Built for each connection, so that a rotated authority is picked up without a restart.
fn client_config(config: &Config) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(config, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup("no TLS version can be used", Some(error.into())))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn verifier(
    config: &Config,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    let chain = |roots: RootCertStore| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| setup("sslrootcert holds no usable authority", Some(error.into())))
    };
    Ok(match (config.sslmode, &config.sslrootcert) {
        (SslMode::VerifyFull, Some(SslRoots::File(path))) => chain(roots_from(path)?)?,
        (SslMode::VerifyFull, _) => chain(system_roots()?)?,
        // libpq too takes `require` with an authority for `verify-ca`.
        (SslMode::VerifyCa | SslMode::Require, Some(SslRoots::File(path))) => {
            Arc::new(AnyName(chain(roots_from(path)?)?))
        }
        (SslMode::VerifyCa, _) => return Err(setup("sslmode=verify-ca needs sslrootcert", None)),
        _ => Arc::new(AnyCertificate(provider.signature_verification_algorithms)),
    })
}

fn roots_from(path: &Path) -> Result<RootCertStore, ConnectError> {
    let bad =
        |error| setup(format!("sslrootcert {} cannot be read as PEM certificates", path.display()), error);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(Some(error.into())))? {
        let certificate = certificate.map_err(|error| bad(Some(error.into())))?;
        roots.add(certificate).map_err(|error| bad(Some(error.into())))?;
    }
    if roots.is_empty() { Err(bad(None)) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(setup("the system has no trusted authorities; set sslrootcert=/path/to/ca.crt", None));
    }
    Ok(roots)
}

/// Checks the chain but not the name: `verify-ca`.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Encrypts without knowing to whom: `prefer` and `require`, as libpq defines them.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// `tls-server-end-point` (RFC 5929): the certificate's digest under its own signature's hash, SHA-256 in
/// place of MD5 and SHA-1. `None` for signatures that have no single hash.
pub(super) fn end_point_digest(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_oid(certificate)? {
        // md5 and sha1WithRSA, sha256WithRSA; ecdsa with SHA-1 and SHA-256.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4 | 5 | 11]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => Sha256::digest(certificate).to_vec(),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => {
            Sha384::digest(certificate).to_vec()
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => {
            Sha512::digest(certificate).to_vec()
        }
        _ => return None,
    })
}

/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, .. }, .. }`.
fn signature_oid(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OID: u8 = 0x06;
    let (outer, _) = der_value(certificate, SEQUENCE)?;
    let (_, after_tbs) = der_value(outer, SEQUENCE)?;
    let (algorithm, _) = der_value(after_tbs, SEQUENCE)?;
    Some(der_value(algorithm, OID)?.0)
}

/// The value of a DER element with the given tag, and what follows it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    if short < 0x80 {
        return rest.split_at_checked(usize::from(short));
    }
    let (len, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
    if len.is_empty() || len.len() > 4 {
        return None;
    }
    let len = len.iter().fold(0_usize, |len, byte| (len << 8) | usize::from(*byte));
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate_signed_with(oid: &[u8]) -> Vec<u8> {
        let len = |n: usize| u8::try_from(n).unwrap();
        let algorithm = [&[0x30, len(oid.len() + 2), 6, len(oid.len())][..], oid].concat();
        let inner = [&[0x30, 3, 2, 1, 7][..], &algorithm, &[3, 1, 0]].concat();
        [&[0x30, 0x81, len(inner.len())][..], &inner].concat()
    }

    #[test]
    fn the_digest_follows_the_certificates_own_signature() {
        let rsa = |last| certificate_signed_with(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last]);
        for (last, len) in [(5, 32), (11, 32), (12, 48), (13, 64)] {
            assert_eq!(end_point_digest(&rsa(last)).unwrap().len(), len);
        }
        let ecdsa = certificate_signed_with(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
        assert_eq!(end_point_digest(&ecdsa).unwrap(), Sha256::digest(&ecdsa).to_vec());
        let ed25519 = certificate_signed_with(&[0x2b, 0x65, 0x70]);
        assert_eq!(end_point_digest(&ed25519), None);
    }

    proptest! {
        #[test]
        fn a_certificate_of_garbage_has_no_digest_and_does_no_harm(
            bytes in prop::collection::vec(prop::sample::select(&[0x30, 6, 0, 0x80, 0x81, 0x84, 0xff, 2][..]), 0..40),
        ) {
            prop_assert_eq!(end_point_digest(&bytes), None);
        }
    }
}
