//! The future of a layer that may refuse a request, and the errors of such a refusal.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderName,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};
use pin_project_lite::pin_project;

use crate::{BoxError, Error, ErrorKind, Outcome};

/// Returns whether the header frames a message or names its recipient. Only the transport may set those.
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

/// Returns the error of a request that is refused before it is sent.
pub(super) fn refused(why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, Outcome::NotSent)
        .permanent(true)
        .with_detail(why)
}

/// Why a call outside of a tokio runtime fails.
pub(super) const NO_RUNTIME: &str = "it must be made on a tokio runtime";

/// Returns the error of a call outside of a tokio runtime.
pub(crate) fn no_runtime() -> Error {
    Error::new(ErrorKind::Runtime, Outcome::NotSent)
        .permanent(true)
        .with_detail(NO_RUNTIME)
}

pin_project! {
    /// The inner future, or the error of a refusal.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Error>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(inner: F) -> Self {
        Self {
            inner: Some(inner),
            refusal: None,
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            inner: None,
            refusal: Some(error),
        }
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
        let error = this.refusal.take().expect("polled after it was ready");
        Poll::Ready(Err(error.into()))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    /// Shows nothing of the inner future, which may hold a response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}
