//! [`Repeat`], what further attempts of a call are made of.

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};
use tower_service::Service;

use crate::Body;

/// A service, and the request that it is given for every further attempt. Most calls have none, so this
/// is small: of the head it keeps what is not the same for all of them.
pub(super) struct Repeat<S> {
    pub(super) service: S,
    uri: Uri,
    body: Body,
    carried: Option<Box<Carried>>,
}

/// What the layers above added to a POST.
struct Carried {
    method: Method,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
}

impl<S> Repeat<S> {
    pub(super) fn new(service: S, request: &Request<Body>) -> Self {
        Self {
            service,
            uri: request.uri().clone(),
            body: request.body().clone(),
            carried: Carried::of(request).map(Box::new),
        }
    }

    /// Calls the service, which must have been polled ready.
    pub(super) fn call(&mut self) -> S::Future
    where
        S: Service<Request<Body>>,
    {
        let mut request = Request::new(self.body.clone());
        *request.uri_mut() = self.uri.clone();
        match self.carried.as_deref() {
            None => *request.method_mut() = Method::POST,
            Some(carried) => {
                *request.method_mut() = carried.method.clone();
                *request.version_mut() = carried.version;
                request.headers_mut().clone_from(&carried.headers);
                request.extensions_mut().clone_from(&carried.extensions);
            }
        }
        self.service.call(request)
    }
}

impl Carried {
    fn of(request: &Request<Body>) -> Option<Self> {
        let plain = request.headers().is_empty()
            && request.extensions().is_empty()
            && *request.method() == Method::POST
            && request.version() == Version::default();
        (!plain).then(|| Self {
            method: request.method().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
        })
    }
}
