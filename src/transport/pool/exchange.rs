//! An exchange: a request, sent again only if nothing of it was sent, and the head of its answer.

use std::{pin::Pin, sync::Arc};

use http::{Method, Request, Response, Version};
use hyper::client::conn::TrySendError;
use tower_service::Service;

use super::{
    PoolError, ResponseBody, connect::NoHttp1, host::Checkout, hosts::Hosts, http2::Published,
    target,
};
use crate::{Body, BoxError};

pub(super) type Exchanging =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>>;

/// A pool, whatever it connects by.
pub(super) trait Exchange: Send + Sync {
    fn exchange(self: Arc<Self>, request: Request<Body>) -> Exchanging;
}

impl<K, P> Exchange for Hosts<K, P>
where
    K: Service<(), Response = P, Error = NoHttp1> + Send + 'static,
    K::Future: Unpin + Send,
    P: Service<()> + Send + 'static,
{
    fn exchange(self: Arc<Self>, mut request: Request<Body>) -> Exchanging {
        // An `async fn` would hold the request twice, as the argument that it is and as what is sent.
        Box::pin(async move {
            let version = request.version();
            let known = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
            if !known.contains(&version) || request.method() == Method::CONNECT {
                return Err(PoolError::request().into());
            }
            loop {
                let host = self.host(request.uri())?;
                let checkout = host.checkout(self.access).await?;
                if !request.body().may_be_sent() {
                    return Err(PoolError::given_up().into());
                }
                let again = match checkout {
                    Checkout::Moved => continue,
                    Checkout::Http1 { .. } if version == Version::HTTP_2 => {
                        return Err(PoolError::request().into());
                    }
                    Checkout::Http1 { mut lent, reused } => {
                        let named = target::to_http1(&mut request, &lent.host.name);
                        let connection = lent.connection();
                        match connection.send(request).await {
                            Ok(answer) => {
                                return Ok(answer.map(|body| ResponseBody::over_http1(body, lent)));
                            }
                            Err(failure) => unsent(failure, reused).map(|mut request| {
                                target::to_absolute(&mut request, &lent.host.uri, named);
                                request
                            }),
                        }
                    }
                    Checkout::Http2(Published { mut sender, reused }) => {
                        let sent = sender.requests.try_send_request(request).await;
                        sender.note_heard();
                        match sent {
                            Ok(answer) => return Ok(answer.map(ResponseBody::over_http2)),
                            Err(failure) => unsent(failure, reused),
                        }
                    }
                };
                request = again?;
            }
        })
    }
}

/// The request, if it is to be sent again: what is given back was not written. A connection that was
/// kept had been closed meanwhile; a new one would be closed again.
#[cold]
fn unsent(
    mut failure: TrySendError<Request<Body>>,
    reused: bool,
) -> Result<Request<Body>, PoolError> {
    match failure.take_message() {
        Some(request) if reused => Ok(request),
        Some(_) => Err(PoolError::canceled(failure.into_error())),
        None => Err(PoolError::send(failure.into_error())),
    }
}
