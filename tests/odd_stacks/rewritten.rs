//! A body that a layer writes anew is of the same attempt.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clerk_actor_tokens::{Body, ClientBuilder, OperationKind, Outcome};
use http::{Request, header::CONTENT_LENGTH};
use tower::{Layer, ServiceExt, util::MapRequestLayer};

use crate::{
    AMPLE, SECOND, Settling, TOKEN, assert_returned, calls, create, key, prompt, revoked, silent,
    support::{answer::answer, scripted::Scripted},
    taken,
};

/// Puts what a create says into an envelope.
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
async fn each_attempt_sends_what_a_layer_wrote_in_place_of_its_body() {
    let transport = Scripted::new([answer(429, &[], ""), answer(200, &[], TOKEN)]);
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
    assert_returned(&client.send(create()).await.unwrap());
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
async fn what_was_written_anew_may_have_happened_when_its_time_is_up() {
    let peer = silent();
    let client = ClientBuilder::over(key(), peer.clone())
        .attempt_timeout(SECOND)
        .wire_layer(MapRequestLayer::new(sealed))
        .build()
        .unwrap();
    let error = client.send(create()).await.unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1));
    assert_eq!(taken(&peer), 1);
    assert_eq!(client.drain(AMPLE).await.counts().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_create_was_written_anew_is_revoked_only_where_it_is_lost() {
    for is_lost in [false, true] {
        let (peer, settling) = (prompt(), Settling::new());
        let written = MapRequestLayer::new(sealed).layer(settling.over(peer.clone()));
        let token = calls(written).oneshot(create()).await.unwrap();
        if !is_lost {
            assert_returned(&token);
        }
        drop(token);
        let told = settling.told().await;
        assert_eq!(told, Vec::from_iter(is_lost.then(|| revoked("act_0"))));
    }
}
