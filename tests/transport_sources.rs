//! Text of the peer in the sources of a transport's error: cleaned, masked and cut.
#![cfg(all(feature = "ring", feature = "webpki-roots"))]

mod support {
    pub(crate) mod shown;
    pub(crate) mod tls;
}

use std::{io, sync::Arc};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, ClientBuilder, Error, ErrorKind, RetryConfig, SecretKey,
    transport::{HyperTransport, PooledTransport, TransportConfig},
};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use support::{shown::shown, tls::Identity};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tower::service_fn;

/// Text that a peer may send to reach a log.
const HOSTILE: &str = "Bearer sk_live_MARKER \u{1b}[31m\u{202e}\u{200b} sk_\u{200b}live_MARKER";

/// Returns the error of a revoke over this transport.
macro_rules! revoke {
    ($base_url:expr, $transport:expr) => {{
        let key = SecretKey::new("sk_live_MARKER").unwrap();
        let client = ClientBuilder::over(key, $transport)
            .base_url(&*$base_url)
            .retry(RetryConfig::disabled())
            .build()
            .unwrap();
        client.revoke("act_1").await.unwrap_err()
    }};
}

#[track_caller]
fn assert_safe(error: &Error) {
    let shown = shown(error);
    assert!(!shown.contains("MARKER"), "{shown}");
    let is_plain = |c: char| matches!(c, ' '..='~' | '\n' | '…');
    assert!(shown.chars().all(is_plain), "{shown}");
    assert!(!shown.contains(r"\u{"), "{shown}");
    let mut source = std::error::Error::source(error);
    assert!(source.is_some(), "there is no source");
    while let Some(error) = source {
        assert!(error.to_string().len() <= 10 * 1024);
        source = error.source();
    }
    assert!(format!("{error:?}").len() <= 16 * 1024);
}

/// A server with a certificate for this name. When it has received some bytes, it sends these and closes.
async fn server(name: &str, sent: Vec<u8>) -> (String, TransportConfig) {
    let identity = Identity::of(name);
    let acceptor = TlsAcceptor::from(Arc::new(identity.server(b"h2")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut bytes = [0; 4096];
            let _read = stream.read(&mut bytes).await;
            let _written = stream.write_all(&sent).await;
            let _closed = stream.shutdown().await;
            let _read = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    (base_url, identity.trusted())
}

/// Returns an HTTP/2 frame of the connection.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn debug_data_of_a_goaway_is_not_shown() {
    let debug_data = format!("sk_live_MARKER {}", "MARKER ".repeat(2000));
    for last_stream in [0, 1] {
        let reason = 11_u32.to_be_bytes();
        let away = [&[0, 0, 0, last_stream], &reason[..], debug_data.as_bytes()].concat();
        let (base_url, config) =
            server("localhost", [frame(4, &[]), frame(7, &away)].concat()).await;
        let pooled = PooledTransport::new(&config).unwrap();
        let hyper = HyperTransport::new(&config).unwrap();
        for error in [revoke!(base_url, pooled), revoke!(base_url, hyper)] {
            assert_eq!(error.kind(), ErrorKind::Transport);
            assert_safe(&error);
            // h2 reports the GOAWAY only to streams that the server does not process.
            let is_named = shown(&error).contains("GOAWAY: detected excessive load");
            assert_eq!(is_named, last_stream == 0, "{}", shown(&error));
        }
    }
}

#[tokio::test]
async fn names_in_an_untrusted_certificate_are_cleaned() {
    let (base_url, config) = server("sk_live_MARKER.example", Vec::new()).await;
    let pooled = PooledTransport::new(&config).unwrap();
    let hyper = HyperTransport::new(&config).unwrap();
    for error in [revoke!(base_url, pooled), revoke!(base_url, hyper)] {
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_safe(&error);
        assert!(
            shown(&error).contains("certificate not valid for name"),
            "{}",
            shown(&error)
        );
    }
}

#[tokio::test]
async fn response_that_is_not_http_is_not_shown() {
    let config = TransportConfig::default();
    let pooled = PooledTransport::new(&config).unwrap();
    let hyper = HyperTransport::new(&config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _read = stream.read(&mut [0; 4096]).await;
            let _written = stream.write_all(HOSTILE.as_bytes()).await;
        }
    });
    for error in [revoke!(base_url, pooled), revoke!(base_url, hyper)] {
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert_safe(&error);
    }
}

/// A transport's error around an I/O error.
#[derive(Debug, thiserror::Error)]
#[error("{HOSTILE} {}", "filler ".repeat(3000))]
struct Wrapped(#[source] io::Error);

fn io_error() -> io::Error {
    io::Error::other(Wrapped(io::Error::other(HOSTILE)))
}

#[tokio::test]
async fn text_in_any_link_of_the_chain_is_cleaned() {
    let errors: [fn() -> BoxError; 3] = [
        || io_error().into(),
        || Wrapped(io_error()).into(),
        || {
            (0..100)
                .fold(io_error(), |error, _| io::Error::other(Wrapped(error)))
                .into()
        },
    ];
    for new_error in errors {
        let sent = service_fn(move |request: Request<Body>| async move {
            let _taken = request.into_body().into_bytes();
            Err::<Response<String>, _>(new_error())
        });
        let error = revoke!("https://api.example", sent);
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert_safe(&error);
        assert!(
            shown(&error).contains("Bearer sk_[redacted]"),
            "{}",
            shown(&error)
        );
    }
}

#[tokio::test]
async fn text_of_a_failed_response_body_is_cleaned() {
    let broken = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        let frames = stream::iter([Ok(Frame::data(Bytes::from_static(b"{"))), Err(io_error())]);
        Ok::<_, BoxError>(Response::new(StreamBody::new(frames.boxed())))
    });
    let error = revoke!("https://api.example", broken);
    assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
    assert_safe(&error);
}
