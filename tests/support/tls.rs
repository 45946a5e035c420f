//! Servers with a self-signed certificate.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;

use clerk_actor_tokens::transport::TransportConfig;
use tokio_rustls::rustls::{
    ConfigBuilder, ServerConfig, SupportedProtocolVersion, WantsVerifier,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};

/// A certificate that is its own authority, and its key.
pub(crate) struct Identity(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Identity {
    /// The certificate of the host with this name.
    pub(crate) fn of(name: &str) -> Self {
        Self(rcgen::generate_simple_self_signed([name.to_owned()]).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.cert.der())
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der()).into()
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.0.signing_key.serialize_der())
    }

    /// The settings of a transport that trusts the certificate.
    pub(crate) fn trusted(&self) -> TransportConfig {
        TransportConfig::default().root_certificate_der(self.der().to_vec())
    }

    /// The settings of a server that speaks this protocol.
    pub(crate) fn server(&self, protocol: &[u8]) -> ServerConfig {
        let mut config = builder(&[&TLS12, &TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![self.der()], self.key())
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}

pub(crate) fn builder(
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | usize::from(*bytes.get(i).unwrap_or(&0))
        });
        let digit = |i: usize| match i <= bytes.len() {
            true => char::from(DIGITS[bits >> (18 - 6 * i) & 63]),
            false => '=',
        };
        (0..4).map(digit).collect()
    };
    let groups: Vec<_> = der.chunks(3).map(group).collect();
    let lines: Vec<_> = groups.chunks(16).map(<[_]>::concat).collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
