//! [`limited`], which limits the time to connect: name resolution, TCP and TLS together.

use std::time::Duration;

use http::Uri;
use tokio::runtime::Handle;
use tower::util::{BoxCloneSyncService, MapFutureLayer};
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// Adds a time limit to a connector.
pub(super) fn limited<C>(
    connector: C,
    limit: Duration,
) -> BoxCloneSyncService<Uri, C::Response, BoxError>
where
    C: Service<Uri, Future: Send> + Clone + Send + Sync + 'static,
    BoxError: From<C::Error>,
{
    let limited = MapFutureLayer::new(move |connecting: C::Future| async move {
        Handle::try_current()?;
        match tokio::time::timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(BoxError::from),
            Err(_) => Err(ConnectTimedOut { limit }.into()),
        }
    });
    BoxCloneSyncService::new(limited.layer(connector))
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
        let mut connector = limited(HttpConnector::new_with_resolver(resolver), limit);
        let connecting = connector.call(Uri::from_static("http://api.clerk.com"));
        let error = connecting.await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "connecting took longer than 3s");
        assert!(error.is::<ConnectTimedOut>());
        assert_eq!(begun.elapsed(), limit);
    }
}
