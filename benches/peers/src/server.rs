//! The server: as little as hyper can do.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{Endpoints, Error};

macro_rules! ticket {
    () => {
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Imluc18ydll4VDB5WGtROWFCY0RlRmdIaUprTG1Ob1AifQ.\
         eyJleHAiOjE3NjAwMDA2MDAsInNpZCI6ImFjdF8yeFp5VTF6WWxSMGJDZEVmR2hJaktsTW5PcFEiLCJzdCI6\
         ImFjdG9yX3Rva2VuIn0.c2lnbmF0dXJlLW9mLWZvcnR5LWVpZ2h0LWJ5dGVzLWluLWJhc2U2NA"
    };
}

const MINTED: Bytes = Bytes::from_static(
    concat!(
        r#"{"object":"actor_token","id":"act_2xZyU1zYlR0bCdEfGhIjKlMnOpQ","#,
        r#""user_id":"user_2vYxT0yXkQ9aBcDeFgHiJkLmNoP","#,
        r#""actor":{"sub":"user_2uWzS1xWjP8zYxWvUtSrQpOnMlK"},"status":"pending","#,
        r#""token":""#,
        ticket!(),
        r#"","url":"https://clerk.example.com/v1/tickets/accept?ticket="#,
        ticket!(),
        r#"","created_at":1760000000123,"updated_at":1760000000123}"#,
    )
    .as_bytes(),
);

/// Prints where it listens, and answers until it is ended.
pub async fn serve() -> Result<(), Error> {
    let identity = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let http1 = TcpListener::bind("127.0.0.1:0").await?;
    let http1_tls = TcpListener::bind("127.0.0.1:0").await?;
    let http2_tls = TcpListener::bind("127.0.0.1:0").await?;
    let endpoints = Endpoints {
        ports: [
            http1.local_addr()?.port(),
            http1_tls.local_addr()?.port(),
            http2_tls.local_addr()?.port(),
        ],
        certificate: identity.cert.der().to_vec(),
    };
    println!("{endpoints}");
    tokio::try_join!(
        accept(http1, None, false),
        accept(http1_tls, Some(acceptor(&identity, b"http/1.1")?), false),
        accept(http2_tls, Some(acceptor(&identity, b"h2")?), true),
    )?;
    Ok(())
}

fn acceptor(
    identity: &rcgen::CertifiedKey<rcgen::KeyPair>,
    protocol: &[u8],
) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        identity.signing_key.serialize_der(),
    ));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, http2: bool) -> Result<(), Error> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tls = tls.clone();
        tokio::spawn(async move {
            // A connection that fails shows as failed calls of the client.
            match tls {
                None => connection(stream, http2).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, http2).await;
                    }
                }
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
    let (stream, service) = (TokioIo::new(stream), service_fn(answer));
    let _ = if http2 {
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(stream, service)
            .await
    } else {
        http1::Builder::new()
            .serve_connection(stream, service)
            .await
    };
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let mut response = Response::new(Full::new(MINTED));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
