//! Connections through a proxy, which sees a request for a tunnel and no secret. Long, because a promise
//! has one file.
#![cfg(all(feature = "proxy", feature = "ring"))]

mod support {
    pub(crate) mod tls;
}

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
    client::Layers,
    sandbox::{Sandbox, SandboxServer},
    transport::{Proxy, TransportConfig},
};
use support::tls::Identity;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, split},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

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
    /// The heads of the requests to the proxy, one for each connection.
    requests: Vec<String>,
    /// The bytes that passed through the tunnel in both directions.
    tunneled: Vec<u8>,
}

impl World {
    /// The proxy sends this response to each request for a tunnel. With `None` it does not respond.
    async fn new(response: Option<&'static str>) -> Self {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let identity = Identity::of("localhost");
        let acceptor = TlsAcceptor::from(Arc::new(identity.server(b"http/1.1")));
        let certificate = identity.der().to_vec();
        let host = listen(terminate(acceptor, server.addr())).await;
        let seen = Arc::<Mutex<Seen>>::default();
        let proxy = listen({
            let seen = Arc::clone(&seen);
            move |stream| relay(stream, response, Arc::clone(&seen))
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

    fn builder(&self) -> ClientBuilder<Layers, TransportConfig> {
        Client::builder(self.sandbox.secret_key())
            .base_url(self.base_url())
            .root_certificate_der(self.certificate.clone())
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

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

/// Creates a token and returns its ticket.
async fn create(client: &Client) -> Result<String, Error> {
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let token = client.create(create).await?;
    let ticket = token.ticket().and_then(Ticket::expose_token);
    Ok(ticket.unwrap().to_owned())
}

/// Returns the message of an error and of all its sources.
fn messages(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Serves each connection with `serve`.
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

/// Terminates TLS in front of a server without TLS.
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
    response: Option<&str>,
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
    seen.lock().unwrap().requests.push(head);
    let Some(response) = response else {
        return std::future::pending().await;
    };
    stream.write_all(response.as_bytes()).await?;
    if !response.contains(" 200 ") {
        return Ok(());
    }
    let (up, down) = (
        split(stream),
        split(TcpStream::connect(("127.0.0.1", port)).await?),
    );
    tokio::try_join!(record(up.0, down.1, &seen), record(down.0, up.1, &seen)).map(drop)
}

/// Copies bytes and records them.
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
async fn proxy_opens_a_tunnel_and_sees_no_secret() {
    let world = World::new(WELCOME).await;
    let ticket = world.create_through_proxy().await.unwrap();
    let host = format!("localhost:{}", world.host);
    let basic = "Basic dXNlcjpwYXNzIHdvcmQ=";
    let requests = world.requests();
    let expected =
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: {basic}\r\n\r\n");
    assert_eq!(requests, [expected]);
    let seen = world.seen.lock().unwrap();
    assert!(seen.tunneled.len() > 1000, "nothing went through the proxy");
    for secret in [ticket.as_bytes(), b"sk_test_", b"user_1"] {
        assert!(!seen.tunneled.windows(secret.len()).any(|it| it == secret));
    }
}

#[tokio::test]
async fn excepted_host_is_connected_to_without_the_proxy() {
    let world = World::new(WELCOME).await;
    let proxy = world.proxy().except("example.com, localhost");
    create(&world.builder().proxy(proxy).build().unwrap())
        .await
        .unwrap();
    assert!(world.requests().is_empty());
    let proxy = world.proxy().except("example.com, 10.0.0.0/8");
    create(&world.builder().proxy(proxy).build().unwrap())
        .await
        .unwrap();
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test]
async fn second_exception_is_added_to_the_first() {
    for (first, second) in [("localhost", "example.com"), ("example.com", "localhost")] {
        let world = World::new(WELCOME).await;
        let proxy = world.proxy().except(first).except(second);
        let client = world.builder().proxy(proxy).build().unwrap();
        create(&client).await.unwrap();
        assert!(world.requests().is_empty(), "{first}, {second}");
    }
}

#[tokio::test]
async fn plain_http_to_loopback_does_not_use_the_proxy() {
    let world = World::new(WELCOME).await;
    let server = world.sandbox.spawn().await.unwrap();
    let client = world
        .builder()
        .base_url(server.base_url())
        .proxy(world.proxy());
    create(&client.build().unwrap()).await.unwrap();
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn tunnel_refused_by_the_proxy_is_a_connect_error_with_outcome_not_sent() {
    for (response, reason) in [
        (UNAUTHORIZED, "authorization required"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "unsuccessful"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "unsuccessful"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "unsuccessful"),
        ("", "end of file"),
    ] {
        let world = World::new(Some(response)).await;
        let error = world.create_through_proxy().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{response}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{response}");
        let text = messages(&error);
        assert!(text.contains(reason), "{text}");
        assert!(text.contains("nothing was sent: the proxy "), "{text}");
        assert!(!format!("{text} {error:?}").contains("pass"), "{text}");
        assert_eq!(world.sandbox.ledger().minted().len(), 0);
    }
}

#[tokio::test]
async fn tunnel_that_needs_credentials_is_not_retried() {
    let world = World::new(Some(UNAUTHORIZED)).await;
    let client = world.builder().retry(RetryConfig::default());
    let client = client.proxy(world.proxy()).build().unwrap();
    let error = create(&client).await.unwrap_err();
    assert_eq!((error.attempts(), world.requests().len()), (1, 1));
    assert!(error.is_permanent());
    assert_eq!(
        error.to_string(),
        "connecting to the API failed, nothing was sent: the proxy requires valid credentials"
    );
}

#[tokio::test]
async fn unreachable_proxy_is_named_in_the_error() {
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
    assert!(!error.is_permanent(), "the proxy may come back");
    assert!(!format!("{} {error:?}", messages(&error)).contains("password"));
}

#[tokio::test]
async fn unresolved_name_of_a_proxy_is_named_in_the_error() {
    let world = World::new(WELCOME).await;
    // A resolver refuses a name of this length without a query.
    let name = "proxy.".repeat(50);
    let proxy = Proxy::to(&format!("http://user:password@{name}:3128")).unwrap();
    let error = create(&world.builder().proxy(proxy).build().unwrap()).await;
    let error = error.unwrap_err();
    assert!(!error.is_permanent());
    assert_eq!(
        error.to_string(),
        "connecting to the API failed, nothing was sent: the name of the proxy could not be resolved"
    );
    assert!(!format!("{} {error:?}", messages(&error)).contains("password"));
}

#[tokio::test(start_paused = true)]
async fn call_through_a_silent_proxy_ends_with_the_connect_timeout() {
    let world = World::new(None).await;
    let limit = Duration::from_millis(700);
    let client = world.builder().connect_timeout(limit).proxy(world.proxy());
    let begun = tokio::time::Instant::now();
    let error = create(&client.build().unwrap()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(begun.elapsed(), limit);
}

#[tokio::test]
async fn lost_token_is_revoked_through_the_proxy() {
    let world = World::new(WELCOME).await;
    let client = world.builder().proxy(world.proxy()).build().unwrap();
    let create = CreateActorToken::new("user_1", Actor::new("user_2"));
    let tunneled = || world.seen.lock().unwrap().tunneled.len();
    let token = client.create(create).await.unwrap();
    let before = tunneled();
    drop(token);
    let report = client.drain(Duration::from_secs(10)).await;
    assert_eq!(report.counts().revoked, 1);
    assert!(tunneled() > before, "the revoke did not use the proxy");
}

/// A proxy that does not listen.
const CLOSED: &str = "http://127.0.0.1:1";

/// Returns whether a create used a direct connection, or the proxy that does not listen.
fn route(result: Result<String, Error>) -> String {
    match result {
        Ok(_) => "direct".to_owned(),
        Err(error) if messages(&error).contains("the proxy refuses connections") => "proxy".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
#[ignore = "other tests run it in its own process"]
async fn proxy_of_this_environment() {
    let proxy = match Proxy::from_env() {
        Ok(proxy) => proxy,
        Err(error) => return println!("\nshown: {error}"),
    };
    let world = World::new(WELCOME).await;
    let builder = || world.builder().proxy(proxy.clone());
    let https = route(create(&builder().build().unwrap()).await);
    let server = world.sandbox.spawn().await.unwrap();
    let plain = builder().base_url(server.base_url()).build().unwrap();
    println!("\nshown: {https}, {}", route(create(&plain).await));
}

/// Returns the routes of HTTPS and of plain HTTP in this environment, or the error of `from_env`.
fn in_environment<V: AsRef<std::ffi::OsStr>>(variables: &[(&str, V)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    for name in ["HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env_remove("REQUEST_METHOD");
    for (name, value) in variables {
        command.env(name, value);
    }
    let command = command.args(["--ignored", "--exact", "--nocapture"]);
    let output = command.arg("proxy_of_this_environment").output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let shown = output.lines().find_map(|it| it.strip_prefix("shown: "));
    shown.unwrap_or_else(|| panic!("{output}")).to_owned()
}

#[test]
fn environment_proxy_opens_tunnels_for_https_only() {
    const PROXY: &str = "proxy, direct";
    const DIRECT: &str = "direct, direct";
    for (variables, routes) in [
        (&[][..], DIRECT),
        (&[("HTTPS_PROXY", CLOSED)], PROXY),
        (&[("https_proxy", CLOSED)], PROXY),
        (&[("ALL_PROXY", CLOSED)], PROXY),
        (&[("all_proxy", CLOSED)], PROXY),
        (&[("HTTP_PROXY", CLOSED)], DIRECT),
        (&[("http_proxy", CLOSED)], DIRECT),
        (&[("HTTPS_PROXY", CLOSED), ("HTTP_PROXY", CLOSED)], PROXY),
        (&[("HTTPS_PROXY", CLOSED), ("ALL_PROXY", "none")], PROXY),
        (&[("HTTPS_PROXY", CLOSED), ("NO_PROXY", "")], PROXY),
        (
            &[("HTTPS_PROXY", CLOSED), ("NO_PROXY", "localhost")],
            DIRECT,
        ),
        (
            &[("HTTPS_PROXY", CLOSED), ("no_proxy", "localhost")],
            DIRECT,
        ),
        (
            &[("HTTPS_PROXY", CLOSED), ("REQUEST_METHOD", "GET")],
            DIRECT,
        ),
        (&[("HTTPS_PROXY", ""), ("REQUEST_METHOD", "GET")], DIRECT),
    ] {
        assert_eq!(in_environment(variables), routes, "{variables:?}");
    }
}

#[test]
fn invalid_environment_proxy_is_an_error_that_names_the_variable() {
    const FORM: &str =
        "is not the URI of a proxy, like http://host:port or http://user:password@host:port";
    let values = INVALID.iter().map(|value| ("HTTPS_PROXY", *value));
    let others = ["https_proxy", "ALL_PROXY", "all_proxy"];
    let others = others
        .iter()
        .flat_map(|name| [(*name, ""), (*name, INVALID[1])]);
    for (name, value) in values.chain(others) {
        let shown = in_environment(&[(name, value)]);
        assert_eq!(shown, format!("{name} {FORM}"), "{value}");
    }
    let shown = in_environment(&[("HTTPS_PROXY", ""), ("ALL_PROXY", CLOSED)]);
    assert_eq!(shown, format!("HTTPS_PROXY {FORM}"));
}

#[cfg(unix)]
#[test]
fn environment_proxy_that_is_not_unicode_is_an_error() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let invalid = OsStr::from_bytes(b"http://\xff");
    assert!(in_environment(&[("HTTPS_PROXY", invalid)]).starts_with("HTTPS_PROXY is not "));
}

const INVALID: &[&str] = &[
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
];

#[test]
fn invalid_uri_of_a_proxy_is_refused_and_not_shown() {
    for uri in INVALID {
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
