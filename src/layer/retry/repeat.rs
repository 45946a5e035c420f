//! [`Repeat`], what further attempts of a call are made of.

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};
use tower_service::Service;

use crate::Body;

/// A service, and the request that it is given for every further attempt. Most calls have none, so this
/// is small: headers and extensions are kept only where there are any.
pub(super) struct Repeat<S> {
    pub(super) service: S,
    method: Method,
    uri: Uri,
    version: Version,
    carried: Option<Box<(HeaderMap, Extensions)>>,
    body: Body,
}

impl<S> Repeat<S> {
    pub(super) fn new(service: S, request: &Request<Body>) -> Self {
        let (headers, extensions) = (request.headers(), request.extensions());
        let carries = !headers.is_empty() || !extensions.is_empty();
        Self {
            service,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            carried: carries.then(|| Box::new((headers.clone(), extensions.clone()))),
            body: request.body().clone(),
        }
    }

    /// Calls the service, which must have been polled ready.
    pub(super) fn call(&mut self) -> S::Future
    where
        S: Service<Request<Body>>,
    {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        if let Some((headers, extensions)) = self.carried.as_deref() {
            request.headers_mut().clone_from(headers);
            request.extensions_mut().clone_from(extensions);
        }
        self.service.call(request)
    }
}
