//! [`ConnectTimeout`], which limits the time to connect: name resolution, TCP and TLS together.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use tokio::runtime::Handle;
use tower_service::Service;

use crate::BoxError;

/// A connector with a time limit.
#[derive(Clone, Debug)]
pub(super) struct ConnectTimeout<C> {
    pub(super) inner: C,
    pub(super) limit: Duration,
}

impl<C> Service<Uri> for ConnectTimeout<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    // hyper-util's client requires `Unpin`.
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            Handle::try_current()?;
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectTimedOut { limit }.into()),
            }
        })
    }
}

/// The time to connect ran out.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("connecting took longer than {limit:?}")]
pub(crate) struct ConnectTimedOut {
    limit: Duration,
}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::SocketAddr, vec};

    use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn name_that_never_resolves_fails_at_the_limit() {
        let limit = Duration::from_secs(3);
        let begun = tokio::time::Instant::now();
        let resolver =
            tower::service_fn(|_: Name| pending::<Result<vec::IntoIter<SocketAddr>, BoxError>>());
        let inner = HttpConnector::new_with_resolver(resolver);
        let mut connector = ConnectTimeout { inner, limit };
        let connecting = connector.call(Uri::from_static("http://api.clerk.com"));
        let error = connecting.await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "connecting took longer than 3s");
        assert!(error.is::<ConnectTimedOut>());
        assert_eq!(begun.elapsed(), limit);
    }
}
