//! Types that the cases share.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, ClientBuilder, SecretKey,
    client::{CustomTransport, Layers},
};
use http_body_util::Full;
use tower::{Layer, Service};

/// Returns a builder over [`Transport`].
pub fn builder() -> ClientBuilder<Layers, CustomTransport<Transport>> {
    ClientBuilder::over(key(), transport())
}

pub fn transport() -> Transport {
    Transport::default()
}

pub fn key() -> SecretKey {
    SecretKey::new("sk_test_1").unwrap()
}

pub type TextResponse = http::Response<Full<Bytes>>;

/// A transport, or a service of other types.
pub struct Transport<Q = http::Request<Body>, P = TextResponse>(PhantomData<fn(Q) -> P>);

impl<Q, P> Default for Transport<Q, P> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q, P> Clone for Transport<Q, P> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<Q, P: Default> Service<Q> for Transport<Q, P> {
    type Response = P;
    type Error = BoxError;
    type Future = Ready<Result<P, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Q) -> Self::Future {
        ready(Ok(P::default()))
    }
}

/// A user's layer of services that take requests of type `R`.
pub struct UserLayer<R>(PhantomData<fn(R)>);

impl<R> Default for UserLayer<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R, S> Layer<S> for UserLayer<R> {
    type Service = User<R, S>;

    fn layer(&self, inner: S) -> User<R, S> {
        User(inner, PhantomData)
    }
}

/// Service of [`UserLayer`].
pub struct User<R, S>(S, PhantomData<fn(R)>);

impl<R, S: Clone> Clone for User<R, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<R, S: Service<R>> Service<R> for User<R, S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
