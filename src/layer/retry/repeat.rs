//! [`Repeat`], what further attempts of a call are made of.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Method, Request, Uri, Version, uri::PathAndQuery};
use tower_service::Service;

use crate::Body;

/// A service, and the request that it is given for every further attempt. Most calls have none, so this
/// is small: of the head it keeps what is not the same for all of them.
pub(super) struct Repeat<S> {
    prototype: Arc<Mutex<S>>,
    service: Option<Box<S>>,
    path: Option<PathAndQuery>,
    body: Body,
    carried: Option<Box<Carried>>,
}

/// What the layers above added to a POST to a path.
struct Carried {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
}

impl<S> Repeat<S> {
    pub(super) fn new(prototype: &Arc<Mutex<S>>, request: &Request<Body>) -> Self {
        Self {
            prototype: Arc::clone(prototype),
            service: None,
            path: request.uri().path_and_query().cloned(),
            body: request.body().clone(),
            carried: Carried::of(request).map(Box::new),
        }
    }
}

impl<S> Repeat<S>
where
    S: Service<Request<Body>> + Clone,
{
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service().poll_ready(cx)
    }

    /// Calls the service, which must have been polled ready.
    pub(super) fn call(&mut self) -> S::Future {
        let mut request = Request::new(self.body.clone());
        match self.carried.as_deref() {
            None => {
                *request.method_mut() = Method::POST;
                *request.uri_mut() = self.path.clone().map_or_else(Uri::default, Uri::from);
            }
            Some(carried) => {
                *request.method_mut() = carried.method.clone();
                *request.uri_mut() = carried.uri.clone();
                *request.version_mut() = carried.version;
                request.headers_mut().clone_from(&carried.headers);
                request.extensions_mut().clone_from(&carried.extensions);
            }
        }
        self.service().call(request)
    }

    fn service(&mut self) -> &mut S {
        let prototype = &self.prototype;
        self.service.get_or_insert_with(|| {
            let prototype = prototype.lock().unwrap_or_else(PoisonError::into_inner);
            Box::new(prototype.clone())
        })
    }
}

impl Carried {
    fn of(request: &Request<Body>) -> Option<Self> {
        let plain = request.headers().is_empty()
            && request.extensions().is_empty()
            && *request.method() == Method::POST
            && request.uri().authority().is_none()
            && request.version() == Version::default();
        (!plain).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;

    use super::*;
    use crate::OperationKind;

    #[tokio::test]
    async fn a_request_is_repeated_as_the_layers_above_left_it() {
        let echo = tower::service_fn(|request| async move { Ok::<_, Infallible>(request) });
        let prototype = Arc::new(Mutex::new(echo));
        let plain = || {
            let body = Body::new(OperationKind::Create, "{}");
            Request::post("/actor_tokens?a=b").body(body).unwrap()
        };
        let change = |change: fn(&mut Request<Body>)| {
            let mut request = plain();
            change(&mut request);
            request
        };
        for request in [
            plain(),
            change(|it| *it.uri_mut() = Uri::from_static("https://elsewhere.example/v1")),
            change(|it| *it.uri_mut() = Uri::from_static("*")),
            change(|it| *it.method_mut() = Method::PUT),
            change(|it| *it.version_mut() = Version::HTTP_2),
            change(|it| drop(it.headers_mut().insert("a", HeaderValue::from_static("b")))),
            change(|it| {
                it.extensions_mut().insert("kept");
            }),
        ] {
            let mut repeat = Repeat::new(&prototype, &request);
            for _ in 0..2 {
                let repeated = repeat.call().await.unwrap();
                assert_eq!(repeated.method(), request.method());
                assert_eq!(repeated.uri(), request.uri());
                assert_eq!(repeated.version(), request.version());
                assert_eq!(repeated.headers(), request.headers());
                assert_eq!(
                    repeated.extensions().get::<&str>(),
                    request.extensions().get()
                );
                assert_eq!(repeated.body().bytes(), request.body().bytes());
            }
        }
    }
}
