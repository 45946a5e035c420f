//! The server, minimal over hyper and h2, so that clients hardly wait for it.

use std::{convert::Infallible, future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use h2::{RecvStream, server::SendResponse};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{Endpoints, Error, MINTED};

/// Prints its endpoints and serves until it is killed.
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
        // An error shows in the client.
        tokio::spawn(async move {
            match tls {
                None => connection(stream, http2).await,
                Some(tls) => connection(tls.accept(stream).await?, http2).await,
            }
        });
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
) -> Result<(), Error> {
    if http2 {
        return over_http2(stream).await;
    }
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond));
    Ok(served.await?)
}

/// Uses h2 without a task for each request, which is hyper's largest cost.
async fn over_http2(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut exchanges = FuturesUnordered::new();
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(accepted) = connection.poll_accept(cx) {
                match accepted {
                    Some(exchange) => exchanges.push(respond_over_http2(exchange?)),
                    None => return Poll::Ready(Ok(())),
                }
            }
            // All pending responses, before the connection writes.
            let mut any = false;
            while let Poll::Ready(Some(result)) = exchanges.poll_next_unpin(cx) {
                result?;
                any = true;
            }
            if !any {
                return Poll::Pending;
            }
        }
    })
    .await
}

async fn respond_over_http2(
    (request, mut responder): (Request<RecvStream>, SendResponse<Bytes>),
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?.len();
        body.flow_control().release_capacity(bytes)?;
    }
    let mut response = responder.send_response(head(()), false)?;
    response.send_data(MINTED, true)
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Ok(head(Full::new(MINTED)))
}

fn head<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
