//! Outcomes when a server ends a TLS connection with an alert, before or after the client wrote its request.
#![cfg(all(feature = "ring", feature = "webpki-roots"))]

mod support {
    pub(crate) mod tls;
}

use std::{
    io::{ErrorKind, Read},
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, BoxError, Client, CreateActorToken, Error, Outcome, RetryConfig, SecretKey,
    transport::{HyperTransport, PooledTransport},
};
use support::tls::{Identity, builder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
    crypto::{
        cipher::{OutboundChunks, OutboundPlainMessage},
        ring::default_provider,
    },
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

const INTERNAL_ERROR: u8 = 80;
const BAD_RECORD_MAC: u8 = 20;
/// Alerts that name the handshake.
const HANDSHAKE: [u8; 12] = [40, 42, 43, 44, 45, 46, 48, 49, 70, 71, 116, 120];
const CERTIFICATE_REQUIRED: u8 = 116;
const WANTS_CERTIFICATE: &str = "the server wants a client certificate";

/// When a server sends its alert.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Instead of its part of the handshake.
    Hello(u8),
    /// After the client's part of the handshake, because there is no client certificate.
    Verified(&'static SupportedProtocolVersion),
    /// After this many requests. It responds to all but the last.
    Requests(usize, u8),
}

struct Server {
    identity: Identity,
    when: When,
    http2: bool,
    connections: Mutex<usize>,
}

impl Server {
    /// Returns the base URL of a new server, and the server.
    async fn spawn(when: When, http2: bool) -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let server = Arc::new(Self {
            identity: Identity::of("localhost"),
            when,
            http2,
            connections: Mutex::default(),
        });
        let shared = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                let server = Arc::clone(&shared);
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        (base_url, server)
    }

    fn config(&self) -> ServerConfig {
        let protocol: &[u8] = if self.http2 { b"h2" } else { b"http/1.1" };
        let When::Verified(version) = self.when else {
            return self.identity.server(protocol);
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.identity.der()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let mut config = builder(&[version])
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![self.identity.der()], self.identity.key())
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<(), BoxError> {
        let mut config = self.config();
        config.enable_secret_extraction = true;
        let mut tls = ServerConnection::new(Arc::new(config))?;
        let mut received = Vec::new();
        let mut requests = 0;
        loop {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await?;
            if read == 0 {
                return Ok(());
            }
            if let When::Hello(alert) = self.when {
                stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).await?;
                break;
            }
            let mut bytes = &bytes[..read];
            let mut ended = false;
            while !bytes.is_empty() && !ended {
                tls.read_tls(&mut bytes)?;
                ended = tls.process_new_packets().is_err();
            }
            flush(&mut tls, &mut stream).await?;
            if ended {
                break;
            }
            match tls.reader().read_to_end(&mut received) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
            if !has_request(&received, self.http2) {
                continue;
            }
            received.clear();
            requests += 1;
            if let When::Requests(last, alert) = self.when {
                if requests == last {
                    stream.write_all(&sealed(tls, alert)).await?;
                    break;
                }
            }
            let body = r#"{"id":"act_1","user_id":"user_1","status":"revoked","token":"t"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            std::io::Write::write_all(&mut tls.writer(), (head + body).as_bytes())?;
            flush(&mut tls, &mut stream).await?;
        }
        // A reset could overtake the alert.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        Ok(())
    }
}

async fn flush(tls: &mut ServerConnection, stream: &mut TcpStream) -> Result<(), BoxError> {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes)?;
    }
    Ok(stream.write_all(&bytes).await?)
}

/// Returns whether a request was received to its end.
fn has_request(received: &[u8], http2: bool) -> bool {
    if !http2 {
        let text = String::from_utf8_lossy(received);
        return text
            .split_once("\r\n\r\n")
            .is_some_and(|(head, body)| head.contains("content-length: 0") || body.ends_with('}'));
    }
    // After the preface: length, type and flags of each frame.
    let mut frames = received.get(24..).unwrap_or_default();
    while let [high, mid, low, kind, flags, ..] = *frames {
        if kind <= 1 && flags & 1 == 1 {
            return true;
        }
        let length = u32::from_be_bytes([0, high, mid, low]) as usize;
        frames = frames.get(9 + length..).unwrap_or_default();
    }
    false
}

/// Returns the TLS 1.3 record of a fatal alert.
fn sealed(tls: ServerConnection, alert: u8) -> Vec<u8> {
    let suite = tls.negotiated_cipher_suite().unwrap().tls13().unwrap();
    let (number, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("another cipher");
    };
    let message = OutboundPlainMessage {
        typ: ContentType::Alert,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(&[2, alert]),
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    encrypter.encrypt(message, number).unwrap().encode()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TransportKind {
    Pooled,
    Hyper,
}

/// A transport, a protocol and an operation.
#[derive(Clone, Copy, Debug)]
struct Case {
    transport: TransportKind,
    http2: bool,
    create: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    (0..8).map(|bits| Case {
        transport: if bits & 1 == 0 {
            TransportKind::Pooled
        } else {
            TransportKind::Hyper
        },
        http2: bits & 2 != 0,
        create: bits & 4 != 0,
    })
}

impl Case {
    /// Returns a client with its own connections.
    fn client(self, base_url: &str, server: &Server) -> Client {
        let config = server.identity.trusted();
        let builder = Client::builder(SecretKey::new("sk_test_alert").unwrap())
            .base_url(base_url)
            .retry(RetryConfig::default().initial_interval(Duration::ZERO));
        let client = match self.transport {
            TransportKind::Pooled => builder
                .transport(PooledTransport::new(&config).unwrap())
                .build(),
            TransportKind::Hyper => builder
                .transport(HyperTransport::new(&config).unwrap())
                .build(),
        };
        client.unwrap()
    }

    /// Makes `successful` calls, then returns the error of the next one and the number of connections.
    async fn run(self, when: When, successful: usize) -> (Error, usize) {
        let (base_url, server) = Server::spawn(when, self.http2).await;
        let client = self.client(&base_url, &server);
        for _ in 0..successful {
            client.revoke("act_1").await.unwrap();
        }
        let result = if self.create {
            let create = CreateActorToken::new("user_1", Actor::new("user_2"));
            client.create(create).await
        } else {
            client.revoke("act_1").await
        };
        let counts = client.settle_counts();
        let error = result.unwrap_err();
        let is_reported = error.outcome() == Outcome::Unknown && self.create;
        assert_eq!(counts.total(), u64::from(is_reported), "{error:?}");
        let connections = *server.connections.lock().unwrap();
        (error, connections)
    }
}

#[tokio::test]
async fn missing_client_certificate_is_named_and_means_not_sent() {
    for version in [&TLS12, &TLS13] {
        for case in cases() {
            let (error, connections) = case.run(When::Verified(version), 0).await;
            let shown = format!("{case:?}: {error}, {error:?}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{shown}");
            assert!(error.to_string().contains(WANTS_CERTIFICATE), "{shown}");
            assert!(error.is_permanent() && error.is_connect(), "{shown}");
            assert_eq!(connections, 1, "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn missing_client_certificate_is_named_whenever_the_alert_arrives() {
    const CALLS: usize = 200;
    for case in cases().filter(|case| case.create) {
        let (base_url, server) = Server::spawn(When::Verified(&TLS13), case.http2).await;
        let client = case.client(&base_url, &server);
        for call in 0..CALLS {
            let create = CreateActorToken::new("user_1", Actor::new("user_2"));
            let error = client.create(create).await.unwrap_err();
            let shown = format!("{case:?}, {call}: {error}, {error:?}");
            assert!(error.to_string().contains(WANTS_CERTIFICATE), "{shown}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{shown}");
            assert!(error.is_permanent() && error.is_connect(), "{shown}");
        }
        let connections = *server.connections.lock().unwrap();
        assert_eq!(connections, CALLS, "{case:?}");
    }
}

#[tokio::test]
async fn handshake_alert_after_the_request_was_written_means_not_sent() {
    for case in cases() {
        for &alert in if case.create {
            &HANDSHAKE[..]
        } else {
            &HANDSHAKE[..1]
        } {
            let (error, connections) = case.run(When::Requests(1, alert), 0).await;
            let shown = format!("{case:?}, {alert}: {error}, {error:?}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{shown}");
            let reason = match alert {
                CERTIFICATE_REQUIRED => WANTS_CERTIFICATE,
                _ => "the server refused the TLS handshake: ",
            };
            assert!(error.to_string().contains(reason), "{shown}");
            assert!(error.is_permanent(), "{shown}");
            assert_eq!(connections, 1, "{shown}");
        }
    }
}

#[tokio::test]
async fn other_alert_after_the_request_was_written_leaves_the_outcome_unknown() {
    for case in cases() {
        for alert in [INTERNAL_ERROR, BAD_RECORD_MAC] {
            let (error, _) = case.run(When::Requests(1, alert), 0).await;
            assert_eq!(
                error.outcome(),
                Outcome::Unknown,
                "{case:?}, {alert}: {error:?}"
            );
            assert!(!error.is_connect());
        }
    }
}

#[tokio::test]
async fn alert_on_a_connection_that_carried_a_response_leaves_the_outcome_unknown() {
    // The server here speaks HTTP/1.1 only.
    for case in cases().filter(|case| case.create && !case.http2) {
        for alert in HANDSHAKE {
            let (error, connections) = case.run(When::Requests(2, alert), 1).await;
            assert_eq!(
                error.outcome(),
                Outcome::Unknown,
                "{case:?}, {alert}: {error:?}"
            );
            assert_eq!(connections, 1);
        }
    }
}

#[tokio::test]
async fn alert_in_the_handshake_is_permanent_unless_it_is_an_internal_error() {
    for case in cases() {
        for (alert, attempts) in [(40, 1), (CERTIFICATE_REQUIRED, 1), (INTERNAL_ERROR, 3)] {
            let (error, connections) = case.run(When::Hello(alert), 0).await;
            let shown = format!("{case:?}, {alert}: {error}, {error:?}");
            assert_eq!(error.outcome(), Outcome::NotSent, "{shown}");
            assert!(error.is_connect(), "{shown}");
            assert_eq!(
                (error.attempts(), connections),
                (attempts, attempts as usize),
                "{shown}"
            );
            assert_eq!(error.is_permanent(), attempts == 1, "{shown}");
        }
    }
}
