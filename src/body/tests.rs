use std::sync::Arc;

use http_body::Body as _;
use http_body_util::BodyExt;

use super::*;
use crate::Outcome;

#[tokio::test]
async fn reading_a_body_marks_its_attempt_as_taken() {
    let mut body = Body::new(OperationKind::Create, "{}");
    let attempt = body.begin_attempt();
    let progress = Arc::clone(body.attempt.progress());
    assert!(!body.is_end_stream());
    assert_eq!(progress.outcome(), Outcome::NotSent);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
    assert!(attempt.withdraw(), "it was withdrawn after it was read");
    assert_eq!(progress.outcome(), Outcome::Unknown);
}

#[test]
fn a_request_is_small_enough_to_be_moved_often() {
    assert!(size_of::<http::Request<Body>>() <= 256);
}

#[test]
fn an_empty_body_is_taken_when_its_end_is_seen() {
    let mut body = Body::new(OperationKind::Revoke, "");
    let attempt = body.begin_attempt();
    assert!(body.is_end_stream());
    assert!(attempt.withdraw());
}

#[tokio::test]
async fn a_withdrawn_body_hands_out_nothing() {
    let mut body = Body::new(OperationKind::Create, "{}");
    body.begin_attempt().withdraw();
    assert!(body.clone().into_bytes().is_none());
    assert_eq!(body.collect().await.map(drop), Err(Withdrawn::new()));

    let mut empty = Body::new(OperationKind::Revoke, "");
    empty.begin_attempt().withdraw();
    assert!(!empty.is_end_stream());
    assert_eq!(empty.collect().await.map(drop), Err(Withdrawn::new()));
}

#[tokio::test]
async fn attempts_of_one_call_are_told_apart() {
    let first = Body::new(OperationKind::Create, "{}");
    let mut second = first.clone();
    let mut first = first;
    let (one, two) = (first.begin_attempt(), second.begin_attempt());
    assert_eq!((first.attempt(), second.attempt()), (1, 2));
    let _ = second.collect().await;
    assert!(!one.withdraw());
    assert!(two.withdraw());
}
