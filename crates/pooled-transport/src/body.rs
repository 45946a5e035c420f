//! [`ResponseBody`], the body of a response.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::error::{Error, Kind};

/// The body of a response, as it arrives. The default is an empty body.
///
/// Dropping it before its end closes an HTTP/1.1 connection, and resets an HTTP/2 stream.
#[derive(Debug, Default)]
pub struct ResponseBody(Option<Incoming>);

impl From<Incoming> for ResponseBody {
    fn from(incoming: Incoming) -> Self {
        Self(Some(incoming))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Some(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map_err(|error| Error::new(Kind::Body, error)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
