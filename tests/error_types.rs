//! The `error.type` of an attempt span is the status of an API error, or the kind of any other error.

mod support {
    pub(crate) mod capture;
}

use bytes::Bytes;
use clerk_actor_tokens::{
    ActorTokenRequest, Body, BoxError, ClerkErrors, ClientBuilder, Error, OperationKind, Payload,
    SecretKey,
    layer::{SettleLayer, TraceLayer},
};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use support::capture::Capture;
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn error_type(capture: &Capture) -> String {
    let attempts = capture.named("attempt");
    attempts[0].field("error.type").to_owned()
}

#[tokio::test]
async fn failed_attempt_has_a_status_or_a_kind_as_error_type() {
    type Fail = fn() -> BoxError;
    let limited = || Error::api(StatusCode::TOO_MANY_REQUESTS, ClerkErrors::default()).into();
    for (error, word) in [(limited as Fail, "429"), (|| "down".into(), "foreign")] {
        let (capture, _guard) = Capture::begin();
        let service = ServiceBuilder::new().layer(TraceLayer::new()).service_fn(
            move |_: Request<Payload>| async move { Err::<Response<()>, BoxError>(error()) },
        );
        let request = Request::new(Payload::new(OperationKind::Revoke, ""));
        service.oneshot(request).await.unwrap_err();
        assert_eq!(error_type(&capture), word);
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_in_the_body_of_a_404_has_error_type_timeout() {
    let (capture, _guard) = Capture::begin();
    let transport = service_fn(|request: Request<Body>| async move {
        let _taken = request.into_body().into_bytes();
        let frames = stream::pending::<Result<http_body::Frame<Bytes>, BoxError>>();
        let response = Response::builder()
            .status(404)
            .body(StreamBody::new(frames));
        Ok::<_, BoxError>(response.unwrap())
    });
    let client = ClientBuilder::over(SecretKey::new("sk_test_1").unwrap(), transport)
        .settle(SettleLayer::disabled())
        .build()
        .unwrap();
    let request = ActorTokenRequest::revoke("act_1".parse().unwrap());
    client.send(request).await.unwrap_err();
    assert_eq!(error_type(&capture), "timeout");
    let status = capture.named("attempt")[0]
        .field("http.response.status_code")
        .to_owned();
    assert_eq!(status, "404");
}
