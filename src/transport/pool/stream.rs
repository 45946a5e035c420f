//! [`Stream`], a connection of the default connector.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{client::legacy::connect::Connection as _, rt::TokioIo};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{Connection, patient::Patient};
use crate::{BoxError, transport::whole::Whole};

/// TCP, or TLS over it.
pub(super) type Stream = Patient<MaybeHttpsStream<Whole<TokioIo<TcpStream>>>>;

impl Connection for Stream {
    fn is_http2(&self) -> bool {
        self.get_ref().connected().is_negotiated_h2()
    }
}

/// The default connector.
#[derive(Clone)]
pub(super) struct Connector {
    inner: crate::transport::Connector,
}

impl Connector {
    pub(super) fn new(inner: crate::transport::Connector) -> Self {
        Self { inner }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        Connecting {
            inner: self.inner.call(uri),
        }
    }
}

pub(super) struct Connecting {
    inner: <crate::transport::Connector as Service<Uri>>::Future,
}

impl Future for Connecting {
    type Output = Result<Stream, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = ready!(self.inner.as_mut().poll(cx))?;
        Poll::Ready(Ok(Patient::new(inner)))
    }
}
