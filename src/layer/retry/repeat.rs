//! [`Repeat`], what further attempts of a call are made of.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};
use tower_service::Service;

use crate::Body;

/// A service, and the request that it is given for every further attempt. Most calls have none, so this
/// is small: of the head it keeps what is not the same for all of them.
pub(super) struct Repeat<S> {
    prototype: Arc<Mutex<S>>,
    service: Option<S>,
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
    pub(super) fn new(prototype: &Arc<Mutex<S>>, request: &Request<Body>) -> Self {
        Self {
            prototype: Arc::clone(prototype),
            service: None,
            uri: request.uri().clone(),
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
        self.service().call(request)
    }

    fn service(&mut self) -> &mut S {
        let prototype = &self.prototype;
        self.service.get_or_insert_with(|| {
            let prototype = prototype.lock().unwrap_or_else(PoisonError::into_inner);
            prototype.clone()
        })
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
