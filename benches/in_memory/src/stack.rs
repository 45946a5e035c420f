//! Cases of the whole stack and of the floor.

use std::{future::poll_fn, hint::black_box, time::Duration};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ClientBuilder, CreateActorToken, Error,
    SecretKey,
    client::{CustomTransport, Layers, Transport},
    layer::{DecodeErrorLayer, JsonLayer, TypedErrorLayer},
};
use http::StatusCode;
use tokio::runtime::Runtime;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Calls, floor,
    samples::{
        ADMIN_ID, BASE_URL, LIFE_SECONDS, MINTED, REFUSED, REVOKED, SECRET_KEY, TOKEN_ID, USER_ID,
    },
    transport::InMemory,
};

/// The operation of a case, and its response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Revoke,
    /// A create that the API rejects.
    Refused,
}

impl Operation {
    fn transport(self) -> InMemory {
        match self {
            Self::Create => InMemory::responding(StatusCode::OK, MINTED),
            Self::Revoke => InMemory::responding(StatusCode::OK, REVOKED),
            Self::Refused => InMemory::responding(StatusCode::UNPROCESSABLE_ENTITY, REFUSED),
        }
    }
}

pub(crate) fn create() -> CreateActorToken {
    CreateActorToken::new(USER_ID, Actor::new(ADMIN_ID))
        .expires_in(Duration::from_secs(LIFE_SECONDS))
}

pub(crate) fn token_id() -> ActorTokenId {
    TOKEN_ID.parse().expect("a valid id")
}

pub(crate) fn builder<T: Transport>(transport: T) -> ClientBuilder<Layers, CustomTransport<T>> {
    let key = SecretKey::new(SECRET_KEY).expect("a valid key");
    ClientBuilder::over(key, transport).base_url(BASE_URL)
}

pub(crate) fn floor(operation: Operation) -> Calls {
    let client = floor::Client {
        transport: operation.transport(),
        base_url: BASE_URL.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
    };
    Box::new(move |runtime: &Runtime, calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let result = match operation {
                    Operation::Create | Operation::Refused => {
                        client.create(USER_ID, ADMIN_ID, LIFE_SECONDS).await
                    }
                    Operation::Revoke => client.revoke(TOKEN_ID).await,
                };
                assert_eq!(result.is_err(), operation == Operation::Refused);
                if let Ok(token) = &result {
                    black_box(token.url.as_deref());
                }
                drop(black_box(result));
            }
        });
    })
}

/// Returns calls of [`ClientBuilder::service`].
pub(crate) fn unboxed(operation: Operation) -> Calls {
    let stack = builder(operation.transport()).service();
    calls(stack.expect("a stack"), operation)
}

/// Returns calls without the two tracing layers.
pub(crate) fn untraced(operation: Operation) -> Calls {
    let parts = builder(operation.transport());
    let svc = parts.bearer_auth_layer().layer(operation.transport());
    let svc = parts.api_headers_layer().layer(svc);
    let svc = parts.base_uri_layer().layer(svc);
    let svc = parts.collect_body_layer().layer(svc);
    let svc = parts.settle_layer().layer(svc);
    let svc = parts.attempt_timeout_layer().layer(svc);
    let svc = DecodeErrorLayer::new().layer(svc);
    let svc = parts.retry_layer().layer(svc);
    let svc = JsonLayer::new().layer(svc);
    let svc = parts.call_timeout_layer().layer(svc);
    calls(TypedErrorLayer::new().layer(svc), operation)
}

fn calls<S>(mut service: S, operation: Operation) -> Calls
where
    S: Service<ActorTokenRequest, Response = ActorToken, Error = Error> + 'static,
{
    let id = token_id();
    Box::new(move |runtime: &Runtime, calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let request = match operation {
                    Operation::Create | Operation::Refused => ActorTokenRequest::create(create()),
                    Operation::Revoke => ActorTokenRequest::revoke(id.clone()),
                };
                let result = match poll_fn(|cx| service.poll_ready(cx)).await {
                    Ok(()) => service.call(request).await,
                    Err(error) => Err(error),
                };
                assert_eq!(result.is_err(), operation == Operation::Refused);
                if let Ok(token) = &result {
                    black_box(token.expose_url());
                }
                drop(black_box(result));
            }
        });
    })
}

/// Returns calls of a `Client`.
pub(crate) fn boxed(operation: Operation) -> Calls {
    let client = builder(operation.transport()).build().expect("a client");
    let id = token_id();
    Box::new(move |runtime: &Runtime, calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let result = match operation {
                    Operation::Create | Operation::Refused => client.create(create()).await,
                    Operation::Revoke => client.revoke(&id).await,
                };
                assert_eq!(result.is_err(), operation == Operation::Refused);
                if let Ok(token) = &result {
                    black_box(token.expose_url());
                }
                drop(black_box(result));
            }
        });
    })
}

pub(crate) fn encoded() -> Bytes {
    serde_json::to_vec(&create()).expect("JSON").into()
}
