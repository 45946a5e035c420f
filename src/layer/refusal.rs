//! Refusing a request before it is sent: the future and the errors that layers share.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderName,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};
use pin_project_lite::pin_project;

use crate::{BoxError, Error, ErrorKind, Outcome};

/// Returns whether only the transport may set this header, because it frames or routes the message.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "expect" | "host" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// Returns whether only the stack sets the header: the key, the length, and what frames a message.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    [AUTHORIZATION, CONTENT_LENGTH].contains(name) || is_framing(name)
}

/// Returns the error for an invalid request.
pub(crate) fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, Outcome::NotSent)
        .permanent(true)
        .with_detail(why)
}

pub(super) const NO_RUNTIME: &str = "it must be made on a tokio runtime";

/// Returns the error for a call outside of a tokio runtime.
pub(crate) fn no_runtime() -> Error {
    Error::new(ErrorKind::Runtime, Outcome::NotSent)
        .permanent(true)
        .with_detail(NO_RUNTIME)
}

pin_project! {
    /// Polls the inner future, or resolves to the error of a refusal.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<BoxError>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(inner: F) -> Self {
        let (inner, refusal) = (Some(inner), None);
        Self { inner, refusal }
    }

    /// Refuses a request, and releases the readiness that `service` has reserved, such as a concurrency permit.
    pub(super) fn refused(service: &mut impl Clone, error: impl Into<BoxError>) -> Self {
        *service = service.clone();
        let (inner, refusal) = (None, Some(error.into()));
        Self { inner, refusal }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            return inner.poll(cx).map_err(Into::into);
        }
        Poll::Ready(Err(this.refusal.take().expect("polled after it was ready")))
    }
}

crate::text::opaque_debug!(ResponseFuture<F>);
