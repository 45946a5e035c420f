//! The routes of a [`Gateway`].

use axum::Router;

use crate::{Gateway, Metrics, admin, console, ops, wire};

impl Gateway {
    /// Returns the routes of callers, the wire protocol, the admin API and the console, to merge into an application. It
    /// has no fallback.
    pub fn router(&self) -> Router {
        wire::router(self)
            .merge(admin::router(self))
            .merge(console::router(self))
    }

    /// Returns the [routes of callers](Self::router) as a whole application: any other path responds with a 404
    /// that says what is served.
    pub fn app(&self) -> Router {
        wire::with_fallback(self.router())
    }

    /// Returns the routes of the host: `/livez`, `/readyz`, and with `metrics` also `/metrics`. Serve them where
    /// only the host and its monitoring can reach them.
    pub fn ops_router(&self, metrics: Option<Metrics>) -> Router {
        ops::router(self, metrics)
    }

    /// Sets the gauges of the gateway. `/metrics` does so at each scrape.
    pub async fn measure(&self) {
        ops::measure(&self.shared).await;
    }
}
