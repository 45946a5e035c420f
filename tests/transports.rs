//! Settings of both transports, and middleware over them.
#![cfg(all(feature = "ring", feature = "webpki-roots"))]

mod support {
    pub(crate) mod tls;
}

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    BaseUrl, Body, BoxError, Client, ClientBuilder, Error, OperationKind, Outcome, Payload,
    RetryConfig, SecretKey,
    layer::{CollectBodyLayer, DecodeErrorLayer, SettleLayer},
    transport::{HyperTransport, PooledTransport, TlsError, TransportConfig},
};
use http::{Request, StatusCode};
use support::tls::Identity;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{set_header::SetResponseHeaderLayer, timeout::TimeoutLayer};

const REVOKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n{\"id\":\"act_1\",\"status\":\"revoked\"}";

/// A server that responds to each request with these bytes.
struct Server {
    base_url: BaseUrl,
    /// The addresses of the clients.
    peers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Server {
    async fn spawn(identity: &Identity, protocol: &[u8], response: &'static [u8]) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(identity.server(protocol)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let peers = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&peers);
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                seen.lock().unwrap().push(peer);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    while stream.read(&mut [0; 4096]).await? > 0 {
                        stream.write_all(response).await?;
                    }
                    Ok::<_, BoxError>(())
                });
            }
        });
        let base_url = base_url.parse().unwrap();
        Self { base_url, peers }
    }

    /// Returns a client for each of the transports with these settings.
    fn clients(&self, config: &TransportConfig) -> [Client; 2] {
        let builder = || {
            Client::builder(SecretKey::new("sk_test_1").unwrap())
                .base_url(self.base_url.clone())
                .retry(RetryConfig::disabled())
        };
        let pooled = builder().transport(PooledTransport::new(config).unwrap());
        let hyper = builder().transport(HyperTransport::new(config).unwrap());
        [pooled.build().unwrap(), hyper.build().unwrap()]
    }
}

async fn revoke(client: &Client) -> Result<(), Error> {
    client.revoke("act_1").await.map(drop)
}

#[tokio::test]
async fn root_certificate_is_trusted_as_der_and_as_pem() {
    let (ours, other) = (Identity::of("localhost"), Identity::of("localhost"));
    let server = Server::spawn(&ours, b"http/1.1", REVOKED.as_bytes()).await;
    let bundle = format!("# two certificates\n{}\n{}", other.pem(), ours.pem());
    let config = TransportConfig::default;
    for trusted in [
        config().root_certificate_der(ours.der().to_vec()),
        config().root_certificate_pem(ours.pem()),
        config().root_certificate_pem(bundle),
        other.trusted().root_certificate_pem(ours.pem()),
    ] {
        for client in server.clients(&trusted) {
            revoke(&client).await.unwrap();
        }
    }
    for untrusted in [config(), config().root_certificate_pem(other.pem())] {
        for client in server.clients(&untrusted) {
            let error = revoke(&client).await.unwrap_err();
            assert!(
                error.to_string().ends_with("certificate is not trusted"),
                "{error}"
            );
        }
    }
}

#[test]
fn invalid_root_certificate_is_an_error() {
    let identity = Identity::of("localhost");
    let (der, pem) = (identity.der().to_vec(), identity.pem());
    let config = TransportConfig::default;
    let as_der = [&[], &b"none"[..], &der[..der.len() - 1], pem.as_bytes()];
    let armored = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
    let as_pem = [
        b"",
        &b"none"[..],
        &der,
        identity.key_pem().as_bytes(),
        armored.as_bytes(),
        pem.replace('M', "*").as_bytes(),
        pem.trim_end_matches(['-', '\n']).as_bytes(),
        [pem.as_bytes(), armored.as_bytes()].concat().leak(),
    ]
    .map(|it| config().root_certificate_pem(it));
    let as_der = as_der.map(|it| config().root_certificate_der(it));
    for (index, invalid) in as_der.into_iter().chain(as_pem).enumerate() {
        let pooled = PooledTransport::new(&invalid).err();
        let hyper = HyperTransport::new(&invalid).err();
        for error in [pooled, hyper] {
            let is_certificate = matches!(error, Some(TlsError::RootCertificate(_)));
            assert!(is_certificate, "{index}: {error:?}");
        }
    }
}

#[test]
fn error_of_a_missing_feature_names_it() {
    let provider = TlsError::NoProvider.to_string();
    assert!(
        provider.contains("the feature `ring` or `aws-lc-rs`"),
        "{provider}"
    );
    let roots = TlsError::NoRoots.to_string();
    assert!(
        roots.contains("the feature `webpki-roots`, or `native-roots`"),
        "{roots}"
    );
}

#[tokio::test]
async fn http2_connection_without_ping_replies_ends_after_the_keep_alive_times() {
    const TIME: Duration = Duration::from_millis(50);
    let identity = Identity::of("localhost");
    // The server sends its settings and reads, but never responds.
    let server = Server::spawn(&identity, b"h2", &[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    let config = identity.trusted().http2_keep_alive_timeout(TIME);
    for client in server.clients(&config.http2_keep_alive_interval(TIME)) {
        let error = revoke(&client).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the server did not reply to a ping"),
            "{error}"
        );
    }
    let config = identity.trusted().http2_keep_alive_interval(None);
    for client in server.clients(&config.http2_keep_alive_timeout(TIME)) {
        let request = clerk_actor_tokens::ActorTokenRequest::revoke("act_1".parse().unwrap());
        let error = client
            .send(request.attempt_timeout(4 * TIME))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("the attempt took longer than"),
            "{error}"
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn tcp_keepalive_probes_an_idle_connection_only_if_it_is_set() {
    /// Returns whether the keepalive timer of the connection from this port runs.
    fn is_probed(port: u16) -> bool {
        let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let local = format!("0100007F:{port:04X}");
        let columns = connections
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut established = columns.filter(|it| it[1] == local && it[3] == "01");
        established.next().unwrap()[5].starts_with("02:")
    }
    let identity = Identity::of("localhost");
    for time in [None, Some(Duration::from_secs(60))] {
        let server = Server::spawn(&identity, b"http/1.1", REVOKED.as_bytes()).await;
        let clients = server.clients(&identity.trusted().tcp_keepalive(time));
        for client in &clients {
            revoke(client).await.unwrap();
        }
        let peers = server.peers.lock().unwrap().clone();
        let probed: Vec<_> = peers.iter().map(|peer| is_probed(peer.port())).collect();
        assert_eq!(probed, [time.is_some(); 2]);
    }
}

/// Sends a create through a stack without `BaseUri`, so that the transport has to check the URI.
macro_rules! send_to {
    ($uri:expr, $transport:expr) => {{
        let request = Request::post($uri).body(Payload::new(OperationKind::Create, "{}"));
        let stack = ServiceBuilder::new()
            .layer(DecodeErrorLayer::new())
            .layer(SettleLayer::disabled())
            .layer(CollectBodyLayer::default())
            .service($transport);
        let result = stack.oneshot(request.unwrap()).await;
        *result.map(drop).unwrap_err().downcast::<Error>().unwrap()
    }};
}

#[tokio::test]
async fn plain_http_to_an_address_that_is_not_loopback_is_refused_before_it_connects() {
    // Addresses reserved for documentation.
    for uri in [
        "http://192.0.2.1:80/v1",
        "http://[2001:db8::1]/v1",
        "http://[::ffff:192.0.2.1]/",
    ] {
        let config = TransportConfig::default();
        for error in [
            send_to!(uri, PooledTransport::new(&config).unwrap()),
            send_to!(uri, HyperTransport::new(&config).unwrap()),
        ] {
            assert_eq!(error.outcome(), Outcome::NotSent);
            assert!(error.is_connect() && error.is_permanent(), "{error:?}");
            assert_eq!(
                error.to_string(),
                "connecting to the API failed, nothing was sent: plain HTTP is used for loopback only, \
                 and the host has another address: use https"
            );
        }
    }
}

#[tokio::test]
async fn tower_http_layers_that_need_a_default_body_compile_over_both_transports() {
    let identity = Identity::of("localhost");
    let server = Server::spawn(&identity, b"http/1.1", REVOKED.as_bytes()).await;
    let config = identity.trusted();
    macro_rules! check {
        ($transport:expr) => {{
            let layers = ServiceBuilder::new()
                .layer(SetResponseHeaderLayer::overriding(
                    http::header::VARY,
                    http::HeaderValue::from_static("*"),
                ))
                .layer(TimeoutLayer::with_status_code(
                    StatusCode::GATEWAY_TIMEOUT,
                    Duration::from_secs(60),
                ));
            let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), $transport)
                .base_url(server.base_url.clone())
                .wire_layer(layers.clone())
                .build()
                .unwrap();
            revoke(&client).await.unwrap();
            // The same below all layers of the client.
            let transport = layers.service($transport);
            let uri = server.base_url.to_string();
            let request = Request::post(uri).body(Body::new(OperationKind::Revoke, ""));
            let response = transport.oneshot(request.unwrap()).await.unwrap();
            assert_eq!(response.headers()["vary"], "*");
        }};
    }
    check!(PooledTransport::new(&config).unwrap());
    check!(HyperTransport::new(&config).unwrap());
}

#[tokio::test]
async fn hyper_transport_ends_its_exchanges_and_reuses_no_connection_after_a_421() {
    async fn accept(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport = HyperTransport::new(&TransportConfig::default()).unwrap();
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .base_url(format!("http://{}", listener.local_addr().unwrap()))
        .retry(RetryConfig::disabled())
        .build()
        .unwrap();
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { revoke(&client).await })
    };
    let in_flight = call();
    let mut first = accept(&listener).await;
    let misdirected = call();
    let mut second = accept(&listener).await;
    let response = b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\n\r\n";
    second.write_all(response).await.unwrap();
    let error = misdirected.await.unwrap().unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::MISDIRECTED_REQUEST));

    first.write_all(REVOKED.as_bytes()).await.unwrap();
    in_flight.await.unwrap().unwrap();
    for mut stream in [first, second] {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    let after = call();
    let mut third = accept(&listener).await;
    third.write_all(REVOKED.as_bytes()).await.unwrap();
    after.await.unwrap().unwrap();
}
