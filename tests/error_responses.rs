//! `Error::to_response` returns the response of the server. Retry and server pass a refusal on.

mod support {
    pub(crate) mod response;
    pub(crate) mod scripted;
}

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, Body, BoxError, ClerkError, ClerkErrors,
    ClientBuilder, CreateActorToken, Error, ErrorKind, Outcome, Payload, SecretKey,
    sandbox::{Fault, Sandbox},
    server::{ActorTokensApi, ResponseBody},
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use support::{response::response, scripted::Scripted};
use tower::{ServiceExt, filter::FilterLayer, service_fn};

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

fn errors(code: &str) -> ClerkErrors {
    ClerkErrors::new(ClerkError::new(code, "m", "A sentence."))
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

/// Returns the status, the headers and the body, without the trace id, which may be random.
async fn shown(response: Response<ResponseBody>) -> (StatusCode, HeaderMap, Value) {
    let (mut head, body) = response.into_parts();
    let trace_id = head.headers.remove("clerk-trace-id").unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["clerk_trace_id"].take(), trace_id.to_str().unwrap());
    (head.status, head.headers, body)
}

/// Returns the response of the server over a service that fails with `error`.
async fn served<F>(error: F) -> Response<ResponseBody>
where
    F: Fn() -> Error + Clone + Send + Sync + 'static,
{
    let service = service_fn(move |_: ActorTokenRequest| {
        let error = error();
        async { Err::<ActorToken, Error>(error) }
    });
    let request = Request::post("/v1/actor_tokens/act_1/revoke").body(String::new());
    let api = ActorTokensApi::unauthenticated(service);
    api.oneshot(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn response_of_an_error_is_that_of_the_server() {
    const STATUSES: [u16; 14] = [
        200, 302, 400, 401, 403, 404, 408, 421, 422, 425, 429, 499, 500, 503,
    ];
    let outcomes = [
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Unknown,
        Outcome::Applied,
    ];
    for code in STATUSES {
        for outcome in outcomes {
            for wait in [None, Some(Duration::from_millis(1500))] {
                for make in [Error::api, Error::refused] {
                    let error = move || {
                        let error = make(status(code), errors("code"));
                        error.with_outcome(outcome).with_retry_after(wait)
                    };
                    let (direct, served) = (error().to_response(), served(error).await);
                    let (direct, served) = (shown(direct).await, shown(served).await);
                    assert_eq!(direct, served, "{:?}", error());
                    let may_be_4xx = outcome.is_without_effect();
                    assert!(direct.0.as_u16() >= 500 || may_be_4xx, "{:?}", error());
                }
            }
        }
    }
    let invalid = || Error::from(ActorTokenId::try_from("").unwrap_err());
    let (direct, served) = (invalid().to_response(), served(invalid).await);
    assert_eq!(direct.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(shown(direct).await, shown(served).await);
}

#[tokio::test(start_paused = true)]
async fn response_of_a_failed_call_is_that_of_the_server() {
    for fault in [
        Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
        Fault::Status(StatusCode::UNAUTHORIZED),
        Fault::Status(StatusCode::FOUND),
        Fault::Html(StatusCode::FORBIDDEN),
        Fault::DisconnectAfter,
        Fault::HangAfter,
        Fault::Truncate(10),
    ] {
        let sandbox = Sandbox::new();
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport()).build();
        let client = client.unwrap();
        sandbox.inject(fault.clone());
        let error = client.create(create()).await.unwrap_err();
        sandbox.inject(fault.clone());
        let request = Request::post("/v1/actor_tokens")
            .header("content-type", "application/json")
            .body(serde_json::to_string(&create()).unwrap());
        let api = ActorTokensApi::unauthenticated(client);
        let served = api.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(
            shown(error.to_response()).await,
            shown(served).await,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn server_passes_the_status_and_the_errors_of_a_refusal() {
    for code in [
        401, 402, 403, 404, 407, 408, 409, 421, 425, 429, 499, 500, 503,
    ] {
        let refusal = move || {
            let refused = Error::refused(status(code), errors("closed"));
            refused.with_retry_after(Duration::from_secs(7))
        };
        let error = refusal();
        let facts = (error.kind(), error.outcome(), error.is_permanent());
        assert_eq!(facts, (ErrorKind::Refused, Outcome::NotSent, true));
        let (head, headers, body) = shown(served(refusal).await).await;
        assert_eq!(head, status(code));
        assert_eq!(headers["retry-after"], "7");
        assert_eq!(body["errors"][0]["code"], "closed");
    }
}

#[tokio::test]
async fn refusal_of_a_call_layer_reaches_the_caller_unchanged() {
    let transport = Scripted::new([]);
    let closed = || Error::refused(StatusCode::FORBIDDEN, errors("closed"));
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport.clone())
        .call_layer(FilterLayer::new(move |_: ActorTokenRequest| {
            Err::<ActorTokenRequest, _>(closed())
        }))
        .build()
        .unwrap();
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Refused, Outcome::NotSent)
    );
    assert_eq!(
        error.to_string(),
        "a layer refused the call with 403 Forbidden, closed: A sentence.; nothing was sent"
    );
    assert_eq!((error.attempts(), transport.sent().len()), (0, 0));
}

/// Refuses each request with a status that is retried if it comes from the API.
fn busy<T>(_: Request<T>) -> Result<Request<T>, BoxError> {
    Err(Error::refused(StatusCode::TOO_MANY_REQUESTS, errors("busy")).into())
}

#[tokio::test(start_paused = true)]
async fn refusal_below_retry_is_not_retried() {
    let builder = || ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), Scripted::new([]));
    let attempt = builder()
        .attempt_layer(FilterLayer::new(busy::<Payload>))
        .build();
    let wire = builder().wire_layer(FilterLayer::new(busy::<Body>)).build();
    for (client, attempts) in [(attempt.unwrap(), 0), (wire.unwrap(), 1)] {
        for request in [
            ActorTokenRequest::create(create()),
            ActorTokenRequest::revoke("act_1".try_into().unwrap()),
        ] {
            let error = client.send(request).await.unwrap_err();
            let facts = (error.kind(), error.outcome(), error.attempts());
            assert_eq!(facts, (ErrorKind::Refused, Outcome::NotSent, attempts));
            assert!(error.is_rate_limited());
            // The status was chosen by the host's layer, so the server passes it on.
            assert_eq!(error.to_response().status(), StatusCode::TOO_MANY_REQUESTS);
        }
    }
}

#[tokio::test]
async fn predicates_of_an_error_follow_its_status_and_code() {
    type Predicate = fn(&Error) -> bool;
    let predicates: [Predicate; 4] = [
        Error::is_not_found,
        Error::is_rate_limited,
        Error::is_unauthorized,
        Error::is_quota_exceeded,
    ];
    for (code, body, yes) in [
        (404, ClerkError::RESOURCE_NOT_FOUND, Some(0)),
        (429, ClerkError::TOO_MANY_REQUESTS, Some(1)),
        (401, ClerkError::CLERK_KEY_INVALID, Some(2)),
        (422, ClerkError::IMPERSONATION_LIMIT_EXCEEDED, Some(3)),
        (422, ClerkError::FORM_PARAM_MISSING, None),
        (402, ClerkError::UNSUPPORTED_PLAN_FEATURES, None),
    ] {
        let body = serde_json::to_string(&errors(body)).unwrap();
        let transport = Scripted::new([response(code, &[("retry-after", "60")], body)]);
        let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport).build();
        let error = client.unwrap().create(create()).await.unwrap_err();
        let actual = predicates.map(|predicate| predicate(&error));
        let expected: [bool; 4] = std::array::from_fn(|index| Some(index) == yes);
        assert_eq!(actual, expected, "{error}");
        assert!(!error.is_timeout() && !error.is_connect());
    }
}
