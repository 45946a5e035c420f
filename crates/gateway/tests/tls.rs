//! TLS: both HTTP versions, certificates of callers, and certificates that are replaced.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use clerk_actor_tokens_gateway::{
    Config,
    serve::{ServeOptions, ServerTls, serve},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

/// A certificate authority.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `gateway`, and its key.
fn certificate(authority: &Authority) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["gateway".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

/// Writes a certificate for the server, as a renewal does.
fn renew(folder: &Path, authority: &Authority) {
    let (certificate, key) = certificate(authority);
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Returns the configuration of a server with its files in `folder`.
fn config(folder: &Path, client_ca: Option<&str>) -> Config {
    let client_ca = client_ca.map(|name| format!("client_ca = {name:?}"));
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
head_timeout = 2
[server.tls]
certificate = "cert.pem"
key = "key.pem"
{}
[storage]
database = "audit.sqlite"
[policy]
version = "1"
lifetime = {{ default = 300, longest = 900 }}
session = {{ default = 600, longest = 1800 }}
"#,
        client_ca.unwrap_or_default()
    );
    fs::write(folder.join("gateway.toml"), text).unwrap();
    Config::read(folder.join("gateway.toml")).unwrap()
}

struct Server {
    addr: SocketAddr,
    tls: ServerTls,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<io::Result<clerk_actor_tokens_gateway::serve::Served>>,
}

impl Server {
    async fn start(config: &Config) -> Self {
        let options = ServeOptions::new(&config.server).unwrap();
        let tls = options.tls.clone().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(async || "ok"));
        let serving = serve(listener, router, options, stop.clone().cancelled_owned());
        let serving = tokio::spawn(serving);
        Self {
            addr,
            tls,
            stop,
            serving,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(LONG, self.serving).await.unwrap().unwrap().unwrap();
    }
}

/// Returns a client that trusts this authority, with a certificate of its own.
fn client(authority: &Authority, own: Option<&Authority>, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            let (certificate, key) = certificate(own);
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            builder
                .with_client_auth_cert(vec![certificate.der().clone()], key)
                .unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
    config
}

async fn connect(addr: SocketAddr, client: &ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    let connector = TlsConnector::from(Arc::new(client.clone()));
    connector
        .connect(ServerName::try_from("gateway").unwrap(), stream)
        .await
}

/// Sends a request and returns the status line. A refused certificate shows here, too, because in TLS 1.3 the
/// client's handshake ends first.
async fn status(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await?;
    let mut bytes = vec![0; 15];
    timeout(LONG, stream.read_exact(&mut bytes))
        .await
        .unwrap()?;
    Ok(String::from_utf8(bytes).unwrap())
}

async fn try_once(addr: SocketAddr, client: &ClientConfig) -> io::Result<String> {
    status(&mut connect(addr, client).await?).await
}

fn server_certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn both_versions_are_served_over_tls() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    renew(folder.path(), &authority);
    let server = Server::start(&config(folder.path(), None)).await;
    for alpn in [&[][..], &["http/1.1"]] {
        let client = client(&authority, None, alpn);
        assert_eq!(
            try_once(server.addr, &client).await.unwrap(),
            "HTTP/1.1 200 OK"
        );
    }
    let client = client(&authority, None, &["h2", "http/1.1"]);
    let stream = connect(server.addr, &client).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::get("https://gateway/").body(http_body_util::Empty::<bytes::Bytes>::new());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, http::Version::HTTP_2)
    );
    drop(sender);
    server.stop().await;
}

#[tokio::test]
async fn caller_without_a_certificate_of_the_authority_is_refused() {
    let (folder, authority, callers) = (tempfile::tempdir().unwrap(), authority(), authority());
    renew(folder.path(), &authority);
    fs::write(folder.path().join("callers.pem"), callers.pem()).unwrap();
    let server = Server::start(&config(folder.path(), Some("callers.pem"))).await;
    let allowed = client(&authority, Some(&callers), &[]);
    assert_eq!(
        try_once(server.addr, &allowed).await.unwrap(),
        "HTTP/1.1 200 OK"
    );
    for own in [None, Some(&authority)] {
        let refused = client(&authority, own, &[]);
        assert!(try_once(server.addr, &refused).await.is_err());
    }
    server.stop().await;
}

#[tokio::test]
async fn replaced_certificate_is_used_by_new_connections() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    renew(folder.path(), &authority);
    let config = config(folder.path(), None);
    let server = Server::start(&config).await;
    // It resumes sessions, which must not keep the old certificate alive.
    let client = client(&authority, None, &[]);
    let mut old = connect(server.addr, &client).await.unwrap();
    assert_eq!(status(&mut old).await.unwrap(), "HTTP/1.1 200 OK");
    let before = server_certificate(&old);

    renew(folder.path(), &authority);
    let tls = config.server.tls.as_ref().unwrap();
    server.tls.replace(&ServerTls::read(tls).unwrap());
    let new = connect(server.addr, &client).await.unwrap();
    assert_ne!(server_certificate(&new), before);

    // Half of a renewal: the key does not match. Nothing changes.
    let (_, key) = certificate(&authority);
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let error = ServerTls::read(tls).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("could not use the certificate "),
        "{error}"
    );
    let newer = connect(server.addr, &client).await.unwrap();
    assert_eq!(server_certificate(&newer), server_certificate(&new));
    drop((old, new, newer));
    server.stop().await;
}

#[tokio::test]
async fn slow_handshake_and_plain_http_are_closed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    renew(folder.path(), &authority);
    let server = Server::start(&config(folder.path(), None)).await;
    for bytes in [
        &b""[..],
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut response = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut response))
            .await
            .expect("it is closed");
        assert!(!response.starts_with(b"HTTP"));
    }
    server.stop().await;
}

#[test]
fn unusable_file_is_named() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let folder = folder.path();
    let config = config(folder, Some("callers.pem"));
    let read = || {
        ServerTls::read(config.server.tls.as_ref().unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        read(),
        format!("could not read {}", folder.join("key.pem").display())
    );
    renew(folder, &authority);
    assert_eq!(
        read(),
        format!("could not read {}", folder.join("callers.pem").display())
    );
    fs::write(folder.join("callers.pem"), "# nothing\n").unwrap();
    assert_eq!(
        read(),
        format!(
            "{} has no certificate",
            folder.join("callers.pem").display()
        )
    );
}
