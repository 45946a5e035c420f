//! Connections through a proxy: it is asked for a tunnel, and sees nothing of what goes through.
#![cfg(all(feature = "proxy", feature = "ring"))]

use std::{
    env, io,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use clerk_actor_tokens::{
    Actor, BaseUrl, Client, ClientBuilder, CreateActorToken, Error, ErrorKind, Outcome,
    RetryConfig, Ticket,
    sandbox::{Sandbox, SandboxServer},
    transport::{Proxy, TransportConfig},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tower::layer::util::Identity;

/// A sandbox behind TLS, and a proxy.
struct World {
    sandbox: Sandbox,
    _server: SandboxServer,
    host: u16,
    certificate: Vec<u8>,
    proxy: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What the proxy was asked, once for each connection.
    asked: Vec<String>,
    /// What went through it, both ways.
    tunneled: Vec<u8>,
}

impl World {
    /// A proxy that gives this answer to whoever asks for a tunnel, or none at all.
    async fn new(answer: Option<&'static str>) -> Self {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = identity.cert.der().to_vec();
        let host = listen(terminate(acceptor(&identity), server.addr())).await;
        let seen = Arc::<Mutex<Seen>>::default();
        let proxy = listen({
            let seen = Arc::clone(&seen);
            move |stream| relay(stream, answer, Arc::clone(&seen))
        });
        Self {
            sandbox,
            _server: server,
            host: host.port(),
            certificate,
            proxy: proxy.await,
            seen,
        }
    }

    fn builder(&self) -> ClientBuilder<Identity, Identity, TransportConfig> {
        Client::builder(self.sandbox.secret_key())
            .base_url(self.base_url())
            .root_certificate(self.certificate.clone())
            .retry(RetryConfig::disabled())
    }

    fn base_url(&self) -> BaseUrl {
        format!("https://localhost:{}/v1", self.host)
            .parse()
            .unwrap()
    }

    fn proxy(&self) -> Proxy {
        Proxy::to(&format!("http://user:pass%20word@{}", self.proxy)).unwrap()
    }

    async fn create_through_proxy(&self) -> Result<String, Error> {
        create(&self.builder().proxy(self.proxy()).build().unwrap()).await
    }

    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().asked.clone()
    }
}

/// The ticket of a token.
async fn create(client: &Client) -> Result<String, Error> {
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let token = client.create(create).await?;
    let ticket = token.ticket().and_then(Ticket::expose_token);
    Ok(ticket.unwrap().to_owned())
}

/// What an error says, with everything behind it.
fn reasons(error: &Error) -> String {
    let mut said = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        said = format!("{said}: {source}");
        next = source.source();
    }
    said
}

/// Has each connection served by `serve`.
async fn listen<F>(mut serve: impl FnMut(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    addr
}

fn acceptor(identity: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], PrivateKeyDer::from(key))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Speaks TLS, and passes on what it is told to a server without.
fn terminate(
    acceptor: TlsAcceptor,
    server: SocketAddr,
) -> impl FnMut(TcpStream) -> Terminating + Send + 'static {
    move |stream| {
        let acceptor = acceptor.clone();
        Box::pin(async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut server = TcpStream::connect(server).await?;
            copy_bidirectional(&mut stream, &mut server).await.map(drop)
        })
    }
}

type Terminating = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

async fn relay(
    mut stream: TcpStream,
    answer: Option<&str>,
    seen: Arc<Mutex<Seen>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let port: u16 = head
        .split([' ', ':'])
        .nth(2)
        .and_then(|port| port.parse().ok())
        .unwrap_or_default();
    seen.lock().unwrap().asked.push(head);
    let Some(answer) = answer else {
        return std::future::pending().await;
    };
    stream.write_all(answer.as_bytes()).await?;
    if !answer.contains(" 200 ") {
        return Ok(());
    }
    let (up, down) = (
        split(stream),
        split(TcpStream::connect(("127.0.0.1", port)).await?),
    );
    tokio::try_join!(record(up.0, down.1, &seen), record(down.0, up.1, &seen)).map(drop)
}

/// Copies, and notes what it copies.
async fn record(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        seen.lock()
            .unwrap()
            .tunneled
            .extend_from_slice(&buffer[..read]);
        to.write_all(&buffer[..read]).await?;
    }
}

const UNAUTHORIZED: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";

const WELCOME: Option<&str> = Some("HTTP/1.1 200 Connection established\r\n\r\n");

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_no_secret() {
    let world = World::new(WELCOME).await;
    let ticket = world.create_through_proxy().await.unwrap();
    let host = format!("localhost:{}", world.host);
    let basic = "Basic dXNlcjpwYXNzIHdvcmQ=";
    let asked = world.asked();
    let expected =
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {basic}\r\n\r\n");
    assert_eq!(asked, [expected]);
    let seen = world.seen.lock().unwrap();
    assert!(seen.tunneled.len() > 1000, "nothing went through the proxy");
    for secret in [ticket.as_bytes(), b"sk_test_", b"user_1"] {
        assert!(!seen.tunneled.windows(secret.len()).any(|it| it == secret));
    }
}

#[tokio::test]
async fn hosts_that_are_excepted_are_connected_to_past_the_proxy() {
    let world = World::new(WELCOME).await;
    let proxy = world.proxy().except("example.com, localhost");
    create(&world.builder().proxy(proxy).build().unwrap())
        .await
        .unwrap();
    assert!(world.asked().is_empty());
    let proxy = world.proxy().except("example.com, 10.0.0.0/8");
    create(&world.builder().proxy(proxy).build().unwrap())
        .await
        .unwrap();
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn what_goes_to_loopback_without_tls_goes_past_the_proxy() {
    let world = World::new(WELCOME).await;
    let server = world.sandbox.spawn().await.unwrap();
    let client = world
        .builder()
        .base_url(server.base_url())
        .proxy(world.proxy());
    create(&client.build().unwrap()).await.unwrap();
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_failure_to_connect_after_which_nothing_was_sent() {
    for (answer, reason) in [
        (UNAUTHORIZED, "authorization required"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "unsuccessful"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "unsuccessful"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "unsuccessful"),
        ("", "end of file"),
    ] {
        let world = World::new(Some(answer)).await;
        let error = world.create_through_proxy().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{answer}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{answer}");
        let said = reasons(&error);
        assert!(said.contains(reason), "{said}");
        assert!(said.contains("nothing was sent: the proxy "), "{said}");
        assert!(!format!("{said} {error:?}").contains("pass"), "{said}");
        assert_eq!(world.sandbox.ledger().minted().len(), 0);
    }
}

#[tokio::test]
async fn a_proxy_that_wants_to_be_told_who_connects_is_not_asked_again() {
    let world = World::new(Some(UNAUTHORIZED)).await;
    let client = world.builder().retry(RetryConfig::default());
    let client = client.proxy(world.proxy()).build().unwrap();
    let error = create(&client).await.unwrap_err();
    assert_eq!((error.attempts(), world.asked().len()), (1, 1));
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "connecting to the API failed, nothing was sent: the proxy asks for credentials, or for others"
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_taken_for_the_server() {
    let world = World::new(WELCOME).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::to(&format!("http://user:password@{gone}")).unwrap();
    let error = create(&world.builder().proxy(proxy).build().unwrap()).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "connecting to the API failed, nothing was sent: the proxy refuses connections"
    );
    assert!(!error.is_permanent(), "it may come back");
    assert!(!format!("{} {error:?}", reasons(&error)).contains("password"));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_answer_ends_with_the_connect_phase() {
    let world = World::new(None).await;
    let limit = Duration::from_millis(700);
    let client = world.builder().connect_timeout(limit).proxy(world.proxy());
    let begun = tokio::time::Instant::now();
    let error = create(&client.build().unwrap()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(begun.elapsed(), limit);
}

#[tokio::test]
async fn a_create_that_is_lost_behind_a_proxy_is_revoked_through_it() {
    let world = World::new(WELCOME).await;
    let client = world.builder().proxy(world.proxy()).build().unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let tunneled = || world.seen.lock().unwrap().tunneled.len();
    let token = client.create(create).await.unwrap();
    let before = tunneled();
    drop(token);
    let report = client.drain(Duration::from_secs(10)).await;
    assert_eq!(report.counts().revoked, 1);
    assert!(tunneled() > before, "the revoke went past the proxy");
}

/// A proxy of a kind that is not supported.
const UNSUPPORTED: &str = "socks5://127.0.0.1:1";

#[tokio::test]
async fn the_environment_names_the_proxy_when_it_is_asked() {
    // An environment of its own takes a process of its own: this test in another one.
    if env::var("HTTPS_PROXY").as_deref() != Ok(UNSUPPORTED) {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "the_environment_names_the_proxy_when_it_is_asked",
            ])
            .envs([("HTTPS_PROXY", UNSUPPORTED), ("NO_PROXY", "example.com")])
            .env_remove("REQUEST_METHOD")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let world = World::new(WELCOME).await;
    let client = |proxy| world.builder().proxy(proxy).build().unwrap();
    let failure = create(&client(Proxy::from_env())).await.unwrap_err();
    let said = reasons(&failure);
    assert!(
        said.contains("by socks5, and only http is supported"),
        "{said}"
    );
    assert!(failure.is_permanent());
    let excepted = Proxy::from_env().except("localhost");
    create(&client(excepted)).await.unwrap();
    let server = world.sandbox.spawn().await.unwrap();
    let plain = world.builder().base_url(server.base_url());
    let plain = plain.proxy(Proxy::from_env()).build().unwrap();
    create(&plain).await.unwrap();
}

#[test]
fn invalid_uri_of_a_proxy_is_refused_and_not_shown() {
    for uri in [
        "",
        "http://",
        "http:// marker",
        "https://marker:marker@proxy:3128",
        "socks5://marker@proxy",
        "ftp://marker",
        "/marker",
        "http://proxy:99999",
        "http://marker:marker@proxy:99999",
        "http://proxy:0",
        "proxy:65536",
        "http://proxy:",
    ] {
        let error = Proxy::to(uri).expect_err(uri);
        assert!(!format!("{error:?} {error}").contains("marker"));
    }
    for uri in [
        "http://proxy",
        "proxy:3128",
        "http://marker:marker@[::1]:3128/",
    ] {
        let shown = format!("{:?}", Proxy::to(uri).expect(uri));
        assert!(!shown.contains("marker"), "{shown}");
    }
}
