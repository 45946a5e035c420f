//! Wire layers that spawn, buffer or rewrite requests, time out, or respond themselves.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Body, BoxError, ClientBuilder, Error, OperationKind, Outcome, RetryConfig, layer::TimeoutLayer,
};
use http::{Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Full};
use tower::{
    Layer, ServiceExt,
    buffer::BufferLayer,
    util::{AndThenLayer, MapFutureLayer, MapRequestLayer},
};

use crate::{
    LONG, SECOND, Settling, UNKNOWN, calls, claim, create, failed, key, late, playing, prompt,
    revoked, sent, silent, spawned,
    support::{
        peer::{Delay, End, Exchange, Head, PeerBody},
        response::response,
        scripted::Scripted,
    },
    unconnected_at_first, without_retry,
};

const TOKEN: &str = r#"{"id":"act_0","user_id":"user_subject","status":"pending","token":"t","url":"https://x/?ticket=t"}"#;

#[tokio::test(start_paused = true)]
async fn spawning_wire_layer_loses_no_token() {
    let slow_to_send = Exchange {
        before_taking: Delay::time(5 * SECOND),
        ..Exchange::prompt()
    };
    for (retry, first, returned, reports) in [
        // A withdrawn attempt is not sent by its task, retried or not.
        (RetryConfig::disabled(), slow_to_send.clone(), 0, vec![]),
        (RetryConfig::default(), slow_to_send, 1, vec![]),
        // An attempt that was sent is followed.
        (RetryConfig::default(), late(), 0, vec![revoked("act_0")]),
    ] {
        let (peer, settling) = (playing([first]), Settling::new());
        let client = ClientBuilder::over(key(), peer.clone())
            .retry(retry)
            .attempt_timeout(SECOND)
            .settle(settling.layer.clone())
            .wire_layer(MapFutureLayer::new(spawned))
            .build()
            .unwrap();
        let token = client.send(create()).await;
        token.iter().for_each(claim);
        tokio::time::sleep(LONG).await;
        assert_eq!(token.iter().count(), returned);
        assert_eq!(settling.reports().await, reports);
        assert_eq!(sent(&peer), returned + reports.len());
    }
}

#[tokio::test(start_paused = true)]
async fn request_that_waits_in_a_buffer_is_not_sent_after_its_attempt() {
    let peer = playing([Exchange {
        before_taking: Delay::time(5 * SECOND),
        ..Exchange::prompt()
    }]);
    let client = ClientBuilder::over(key(), peer.clone())
        .attempt_timeout(SECOND)
        .wire_layer(BufferLayer::<Request<Body>>::new(16))
        .wire_layer(tower::limit::ConcurrencyLimitLayer::new(1))
        .build()
        .unwrap();
    claim(&client.send(create()).await.unwrap());
    tokio::time::sleep(LONG).await;
    assert_eq!(sent(&peer), 1);
}

/// Reads a response to its end before it returns it.
async fn read(response: Response<PeerBody>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, Full::new(bytes)))
}

#[tokio::test(start_paused = true)]
async fn refusal_is_rejected_when_a_wire_layer_reads_the_response() {
    for status in [422, 429] {
        let client = without_retry(playing([Exchange::refusal(status, None)]))
            .wire_layer(AndThenLayer::new(read))
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
        assert_eq!(error.outcome(), Outcome::Rejected, "{status}");
        assert_eq!(client.drain(LONG).await.counts().total(), 0, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn failure_to_connect_is_not_sent_when_a_wire_layer_reads_the_response() {
    let client = without_retry(unconnected_at_first(&prompt(), 1, SECOND))
        .wire_layer(AndThenLayer::new(read))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(client.drain(LONG).await.counts().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn create_is_reported_when_its_response_is_cut_off_in_a_reading_wire_layer() {
    for end in [End::Fail, End::Hang] {
        let settling = Settling::new();
        let peer = playing([Exchange {
            end,
            ..Exchange::prompt()
        }]);
        let client = without_retry(peer)
            .attempt_timeout(SECOND)
            .settle(settling.layer.clone())
            .wire_layer(AndThenLayer::new(read))
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{end:?}");
        assert_eq!(settling.reports().await, [UNKNOWN], "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_by_a_wire_layer_does_not_hide_a_create_that_was_sent() {
    for status in [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS] {
        let (peer, settling) = (prompt(), Settling::new());
        let client = ClientBuilder::over(key(), peer.clone())
            .settle(settling.layer.clone())
            .wire_layer(AndThenLayer::new(move |_: Response<PeerBody>| {
                let error = Error::api(status, Default::default());
                ready(Err::<Response<PeerBody>, BoxError>(error.into()))
            }))
            .build()
            .unwrap();
        let error = client.send(create()).await.unwrap_err();
        let expected = (Some(status), Outcome::Unknown);
        assert_eq!((error.status(), error.outcome()), expected);
        assert_eq!(peer.ledger().creates.len(), 1);
        assert_eq!(settling.reports().await, [UNKNOWN]);
    }
}

#[tokio::test(start_paused = true)]
async fn create_that_a_wire_layer_timed_out_is_reported_and_not_followed() {
    let client = ClientBuilder::over(key(), playing([failed(Head::Hang)]))
        .wire_layer(TimeoutLayer::new(SECOND))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_settling());
    assert_eq!(client.drain(LONG).await.counts().unknown, 1);
}

/// Puts the body of a create into an envelope.
fn sealed(mut request: Request<Body>) -> Request<Body> {
    if request.body().kind() != OperationKind::Create {
        return request;
    }
    let bytes = [b"sealed ", request.body().as_bytes()].concat();
    request
        .headers_mut()
        .insert(CONTENT_LENGTH, bytes.len().into());
    request.map(|body| body.with_bytes(bytes))
}

#[tokio::test(start_paused = true)]
async fn each_attempt_sends_the_rewritten_body() {
    let transport = Scripted::new([response(429, &[], ""), response(200, &[], TOKEN)]);
    let numbers = Arc::<Mutex<Vec<_>>>::default();
    let seen = Arc::clone(&numbers);
    let client = ClientBuilder::over(key(), transport.clone())
        .wire_layer(MapRequestLayer::new(sealed))
        .wire_layer(MapRequestLayer::new(move |request: Request<Body>| {
            let body = request.body();
            seen.lock().unwrap().push((body.kind(), body.attempt()));
            request
        }))
        .build()
        .unwrap();
    claim(&client.send(create()).await.unwrap());
    let numbers = numbers.lock().unwrap();
    assert_eq!(
        *numbers,
        [(OperationKind::Create, 1), (OperationKind::Create, 2)]
    );
    let sent = transport.sent();
    assert_eq!(sent.len(), 2);
    for request in sent {
        let bytes: &Bytes = request.body();
        let written = bytes.strip_prefix(b"sealed ").unwrap();
        let create: serde_json::Value = serde_json::from_slice(written).unwrap();
        assert_eq!(create["user_id"], "user_subject");
        assert_eq!(request.headers()[CONTENT_LENGTH], bytes.len().to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_of_a_rewritten_create_has_unknown_outcome() {
    let peer = silent();
    let client = ClientBuilder::over(key(), peer.clone())
        .attempt_timeout(SECOND)
        .wire_layer(MapRequestLayer::new(sealed))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(sent(&peer), 1);
    assert_eq!(client.drain(LONG).await.counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn token_of_a_rewritten_create_is_revoked_only_when_it_is_lost() {
    for is_lost in [false, true] {
        let settling = Settling::new();
        let rewritten = MapRequestLayer::new(sealed).layer(settling.over(prompt()));
        let token = calls(rewritten).oneshot(create()).await.unwrap();
        if !is_lost {
            claim(&token);
        }
        drop(token);
        let expected = Vec::from_iter(is_lost.then(|| revoked("act_0")));
        assert_eq!(settling.reports().await, expected);
    }
}
