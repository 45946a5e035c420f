//! CollectBody returns a body of one frame without a copy, and joins several frames.

use bytes::Bytes;
use clerk_actor_tokens::{Body, BoxError, OperationKind, layer::CollectBodyLayer};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tower::{Layer, ServiceExt, service_fn};

async fn collected(frames: &[Bytes]) -> Bytes {
    let transport = service_fn(|_: Request<Body>| {
        let frames = frames.iter().cloned();
        let frames = frames.map(|frame| Ok::<_, BoxError>(Frame::data(frame)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    });
    let request = Request::new(Body::new(OperationKind::Revoke, ""));
    let response = CollectBodyLayer::default()
        .layer(transport)
        .oneshot(request);
    response.await.unwrap().into_body()
}

#[tokio::test]
async fn body_of_one_frame_is_not_copied() {
    let frame = Bytes::from(vec![b'a'; 3]);
    let body = collected(std::slice::from_ref(&frame)).await;
    assert_eq!((&body, body.as_ptr()), (&frame, frame.as_ptr()));
}

#[tokio::test]
async fn frames_are_joined() {
    let frames = ["", "ab", "", "cd", "e"].map(Bytes::from);
    assert_eq!(collected(&frames).await, "abcde");
}
