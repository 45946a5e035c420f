//! The default transport over connections in memory.

use clerk_actor_tokens::Body;
use http::Request;
use hyper_util::client::legacy::connect::Connected;
use pooled_transport::PooledTransport;

/// Returns the default transport over another connector.
pub(crate) fn pool<C>(connector: C) -> PooledTransport<C, Body> {
    pooled_transport::Builder::new()
        .before_send(
            |request: &Request<Body>| match request.body().may_be_sent() {
                true => Ok(()),
                false => Err("withdrawn".into()),
            },
        )
        .build(connector)
}

/// Describes a connection of either version of HTTP.
pub(crate) fn connected(http2: bool) -> Connected {
    match http2 {
        true => Connected::new().negotiated_h2(),
        false => Connected::new(),
    }
}
