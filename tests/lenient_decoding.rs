//! Responses are decoded leniently: an unexpected field hides neither the credential nor the reason of an
//! error. Long, because a promise has one file.

mod support {
    pub(crate) mod response;
    pub(crate) mod scripted;
    pub(crate) mod shown;
}

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenStatus, Body, BoxError, Client, ClientBuilder,
    CreateActorToken, Error, ErrorKind, OperationKind, Outcome, SecretKey, Ticket,
    layer::settle::SettleEnd,
};
use http::{Request, Response};
use http_body_util::Full;
use support::{response::response, scripted::Scripted, shown::shown};
use tower::service_fn;

fn key() -> SecretKey {
    SecretKey::new("sk_test_reading").unwrap()
}

fn client(transport: &Scripted) -> Client {
    let builder = ClientBuilder::over(key(), transport.clone());
    builder.max_response_bytes(4096).build().unwrap()
}

fn create() -> CreateActorToken {
    CreateActorToken::new("user_subject", Actor::new("user_admin"))
}

fn id() -> ActorTokenId {
    "act_1".parse().unwrap()
}

/// Returns the token of a create with this 200.
async fn minted(body: impl Into<Bytes>) -> ActorToken {
    let transport = Scripted::new([response(200, &[], body)]);
    client(&transport).create(create()).await.unwrap()
}

/// Returns the reports of a create that times out before this 200 arrives.
async fn settled(body: &'static str) -> Vec<SettleEnd> {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&ends);
    let transport = service_fn(move |request: Request<Body>| async move {
        let kind = request.body().kind();
        let _sent = request.into_body().into_bytes();
        let body = match kind {
            OperationKind::Revoke => r#"{"id":"act_1","status":"revoked"}"#,
            _ => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                body
            }
        };
        Ok::<_, BoxError>(response(200, &[], body))
    });
    let client = ClientBuilder::over(key(), transport)
        .attempt_timeout(Duration::from_secs(1))
        .on_settle(move |event| reported.lock().unwrap().push(event.end()))
        .build()
        .unwrap();
    let error = client.create(create()).await.unwrap_err();
    assert!(error.is_timeout());
    client.drain(Duration::from_secs(60)).await;
    std::mem::take(&mut ends.lock().unwrap())
}

/// Returns the error of a create with this response, which must not be retried.
async fn failed(response: Response<Full<Bytes>>) -> Error {
    let transport = Scripted::new([response]);
    let error = client(&transport).create(create()).await.unwrap_err();
    assert_eq!(transport.sent().len(), 1);
    assert_eq!(error.attempts(), 1);
    error
}

#[tokio::test]
async fn token_and_url_may_be_present_null_absent_or_empty() {
    for (token, has_token) in [
        (r#","token":"t""#, Some("t")),
        (r#","token":null"#, None),
        (r#","token":"""#, None),
        ("", None),
    ] {
        for (url, has_url) in [
            (
                r#","url":"https://x/?ticket=t""#,
                Some("https://x/?ticket=t"),
            ),
            (r#","url":null"#, None),
            (r#","url":"""#, None),
            ("", None),
        ] {
            let body = format!(r#"{{"id":"act_1","user_id":"user_subject"{token}{url}}}"#);
            let minted = minted(body).await;
            let ticket = minted.ticket();
            assert_eq!(ticket.and_then(Ticket::expose_token), has_token);
            assert_eq!(ticket.and_then(Ticket::expose_url), has_url);
            assert_eq!(ticket.is_some(), has_token.or(has_url).is_some());
        }
    }
}

#[tokio::test]
async fn unknown_fields_and_status_are_accepted() {
    let token = minted(
        r#"{"new":[{"deep":null}],"id":"act_1","user_id":"user_subject","status":"paused","token":"t","actor":{"sub":"user_admin","new":1}}"#,
    )
    .await;
    assert_eq!(token.status(), &ActorTokenStatus::Other("paused".into()));
    assert_eq!(token.ticket().and_then(Ticket::expose_token), Some("t"));
    assert_eq!(
        token.actor(),
        Some(&Actor::new("user_admin").claim("new", 1))
    );
}

#[tokio::test]
async fn field_of_another_type_does_not_lose_the_credential() {
    for unreadable in [
        r#""status":7"#,
        r#""status":["paused"]"#,
        r#""url":{"a":1}"#,
        r#""created_at":"1""#,
        r#""updated_at":-1"#,
        r#""new":"\ud800""#,
        r#""new":1e400"#,
    ] {
        let body = format!(r#"{{{unreadable},"id":"act_1","user_id":"user_subject","token":"t"}}"#);
        let token = minted(body).await;
        assert_eq!(token.ticket().and_then(Ticket::expose_token), Some("t"));
        assert_eq!(token.status(), &ActorTokenStatus::Other(String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn late_response_with_an_unreadable_field_is_settled() {
    use SettleEnd::{Foreign, Revoked, Unknown};

    for (body, ends) in [
        (r#"{"user_id":"\ud800","id":"act_1"}"#, &[Revoked][..]),
        (r#"{"user_id":1e400,"id":"act_1"}"#, &[Revoked]),
        (r#"{"\ud800":1,"id":"act_1"}"#, &[Revoked]),
        (r#"{"created_at":1e400,"id":"act_1","#, &[Revoked]),
        (
            r#"{"created_at":1e400,"id":"act_1","user_id":"user_9","#,
            &[Foreign, Unknown],
        ),
        // NaN is not JSON, so the rest cannot be read.
        (r#"{"id":"act_1","created_at":NaN}"#, &[Revoked]),
        (r#"{"created_at":NaN,"id":"act_1"}"#, &[Unknown]),
    ] {
        assert_eq!(settled(body).await, ends, "{body}");
    }
}

#[tokio::test]
async fn content_type_is_ignored() {
    let types: [&[(&str, &str)]; 5] = [
        &[("content-type", "application/json")],
        &[("content-type", "application/json; charset=utf-8")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "text/json")],
        &[],
    ];
    for headers in types {
        let body = r#"{"id":"act_1","user_id":"user_subject"}"#;
        let transport = Scripted::new([response(200, headers, body)]);
        assert!(client(&transport).create(create()).await.is_ok());

        let body = r#"{"errors":[{"code":"form_param_missing"}]}"#;
        let error = failed(response(422, headers, body)).await;
        assert_eq!(error.code(), Some("form_param_missing"), "{headers:?}");
    }
}

#[tokio::test]
async fn expiry_is_counted_from_created_at() {
    let now = SystemTime::now();
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap() - Duration::from_secs(60);
    let millis = u64::try_from(millis.as_millis()).unwrap();
    let created = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    let body = format!(
        r#"{{"id":"act_1","user_id":"user_subject","status":"revoked","created_at":{millis}}}"#
    );
    let transport = Scripted::new([(); 3].map(|()| response(200, &[], body.clone())));
    let client = client(&transport);

    let token = client.create(create()).await.unwrap();
    assert_eq!(token.created_at(), Some(created));
    let hour = Duration::from_secs(3600);
    assert_eq!(token.expires_at(), Some(created + hour));

    let lifetime = Duration::from_secs(300);
    let token = client.create(create().expires_in(lifetime)).await.unwrap();
    assert_eq!(token.expires_at(), Some(created + lifetime));

    assert_eq!(client.revoke(&id()).await.unwrap().expires_at(), None);

    // Without `created_at` it counts from now, because too late is safer than too early.
    let before = SystemTime::now();
    let token = minted(r#"{"id":"act_1","user_id":"user_subject"}"#).await;
    assert!(token.expires_at().unwrap() >= before + hour);
}

#[tokio::test]
async fn created_at_that_makes_a_fresh_token_expired_is_ignored() {
    // In seconds, years ago, and an hour and a second ago.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = u64::try_from(now.unwrap().as_millis()).unwrap();
    let hour = Duration::from_secs(3600);
    for millis in [1_700_000_000, 1_700_000_000_123, now - 3_601_000] {
        let body = format!(r#"{{"id":"act_1","user_id":"user_subject","created_at":{millis}}}"#);
        let before = SystemTime::now();
        let token = minted(body).await;
        let expires_at = token.expires_at().unwrap();
        assert!(expires_at >= before + hour, "{millis}");
        assert!(expires_at <= SystemTime::now() + hour, "{millis}");
        // The field itself is kept.
        let created = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(token.created_at(), Some(created));
    }
}

#[tokio::test]
async fn response_about_another_user_is_an_error_and_not_retried() {
    for body in [
        r#"{"id":"act_1","user_id":"marker_user","token":"marker"}"#,
        r#"{"id":"act_1","user_id":null,"token":"marker"}"#,
        r#"{"id":"act_1","token":"marker"}"#,
        r#"{"id":"act_1","user_id":"marker_user","token":"\ud800"}"#,
    ] {
        let error = failed(response(200, &[], body)).await;
        assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
        assert_eq!(error.actor_token_id(), Some(&id()));
        assert!(!shown(&error).contains("marker"), "{}", shown(&error));
        // It may be the response to another create.
        let is_foreign = body.contains("marker_user");
        let outcome = if is_foreign {
            Outcome::Unknown
        } else {
            Outcome::Applied
        };
        assert_eq!(error.outcome(), outcome, "{body}");
        let is_about_another = error.to_string().contains("is about another user");
        assert_eq!(is_about_another, is_foreign, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn revoke_is_retried_after_a_response_about_another_token() {
    let other = r#"{"id":"marker_2","status":"revoked"}"#;
    let transport = Scripted::new([
        response(200, &[], other),
        response(200, &[], r#"{"status":"ok"}"#),
        cannot_be_revoked("revoked"),
    ]);
    let token = client(&transport).revoke(&id()).await.unwrap();
    assert_eq!((token.id(), transport.sent().len()), (&id(), 3));

    let transport = Scripted::new([(); 3].map(|()| response(200, &[], other)));
    let error = client(&transport).revoke(&id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 3));
    assert_eq!(error.actor_token_id(), None);
}

#[tokio::test]
async fn undecodable_200_is_an_error_and_neither_retried_nor_shown() {
    let deep = format!(r#"{{"marker":{}"#, "[".repeat(2000));
    let deep_actor = format!(
        r#"{{"id":"act_1","user_id":"user_subject","actor":{}{}}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    let deep_claim = format!(
        r#"{{"actor":{{"sub":"marker","c":{}{}}},"id":"act_1","user_id":"user_subject"}}"#,
        "[".repeat(129),
        "]".repeat(129)
    );
    use Outcome::{Applied, Unknown};

    for (body, outcome) in [
        // Without any sign of a token, it may not come from the API.
        ("", Unknown),
        ("null", Unknown),
        ("7", Unknown),
        ("[]", Unknown),
        (r#""marker""#, Unknown),
        (r#"["act_1","user_subject","marker"]"#, Unknown),
        ("<html>marker</html>", Unknown),
        (&deep, Unknown),
        (
            r#"{"id":"act_1","user_id":"user_subject","token":"marker"#,
            Applied,
        ),
        (
            r#"{"id":"act_1","user_id":"user_subject"}{"marker":1}"#,
            Applied,
        ),
        (
            r#"{"id":"act_1","id":"act_2","user_id":"user_subject","token":"marker"}"#,
            Applied,
        ),
        (
            r#"{"id":"act_1","user_id":"user_subject","token":"marker","token":"t"}"#,
            Applied,
        ),
        (
            r#"{"\ud800":1,"id":"act_1","user_id":"user_subject","token":"marker"}"#,
            Applied,
        ),
        (
            r#"{"status":"\ud800","id":"act_1","user_id":"user_subject","token":"marker"}"#,
            Applied,
        ),
        (
            r#"{"created_at":1e400,"id":"act_1","user_id":"user_subject","token":"marker"}"#,
            Applied,
        ),
        (r#"{"id":"../marker","user_id":"user_subject"}"#, Unknown),
        (
            r#"{"id":7,"user_id":"user_subject","token":"marker"}"#,
            Unknown,
        ),
        (r#"{"user_id":"user_subject","token":"marker"}"#, Unknown),
        (
            "\u{feff}{\"id\":\"act_1\",\"user_id\":\"user_subject\",\"token\":\"marker\"}",
            Applied,
        ),
        // An unreadable actor does not show who would sign in.
        (&deep_actor, Applied),
        (&deep_claim, Applied),
        (
            r#"{"id":"act_1","user_id":"user_subject","actor":{"sub":"marker\ud800"}}"#,
            Applied,
        ),
    ] {
        let error = failed(response(200, &[], body.to_owned())).await;
        assert_eq!(error.kind(), ErrorKind::UnreadableResponse, "{body}");
        assert_eq!(error.outcome(), outcome, "{body}");
        assert!(!shown(&error).contains("marker"), "{}", shown(&error));
    }
}

#[tokio::test]
async fn oversized_200_has_outcome_applied() {
    let body = format!(
        r#"{{"id":"act_1","user_id":"user_subject","token":"{}"}}"#,
        "marker".repeat(1000)
    );
    let error = failed(response(200, &[("cf-ray", "8f-FRA")], body)).await;
    assert_eq!(error.kind(), ErrorKind::UnreadableResponse);
    assert_eq!(error.outcome(), Outcome::Applied);
    assert_eq!(error.trace_id(), Some("8f-FRA"));
    assert!(!shown(&error).contains("marker"), "{}", shown(&error));
}

#[tokio::test]
async fn error_bodies_are_read_leniently() {
    for (body, code, count) in [
        (r#"{"errors":[{"code":"a"}]}"#, Some("a"), Some(1)),
        (
            r#"{"errors":[{"message":"m"},{"code":"b"}]}"#,
            Some("b"),
            Some(2),
        ),
        (
            r#"{"errors":[{"code":"a","long_message":null,"meta":7}]}"#,
            Some("a"),
            Some(1),
        ),
        (r#"{"errors":[{"code":7},null,7]}"#, None, Some(3)),
        (r#"{"errors":[]}"#, None, Some(0)),
        (
            r#"{"errors":[{"code":"task_frozen","meta":{"n":1e400}}]}"#,
            Some("task_frozen"),
            Some(1),
        ),
        (
            r#"{"errors":[],"errors":[{"message":"\ud800","code":"a"}]}"#,
            Some("a"),
            Some(1),
        ),
        (r#"[[{"code":"a"}],"t"]"#, None, Some(0)),
    ] {
        let error = failed(response(400, &[], body)).await;
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Api, code),
            "{body}"
        );
        assert_eq!(error.outcome(), Outcome::Rejected);
        let errors = error.clerk_errors().map(|body| body.errors.len());
        assert_eq!(errors, count, "{body}");
    }
    let quota =
        r#"{"errors":[{"code":"impersonation_limit_exceeded","meta":{"limit":5,"used":5}}]}"#;
    let error = failed(response(422, &[], quota)).await;
    let meta = &error.clerk_errors().unwrap().errors[0].meta;
    assert_eq!((&meta["limit"], &meta["used"]), (&5.into(), &5.into()));
}

#[tokio::test]
async fn html_error_keeps_its_status_and_trace_id() {
    for (status, outcome) in [
        (403, Outcome::Rejected),
        (413, Outcome::Rejected),
        (502, Outcome::Unknown),
        (524, Outcome::Unknown),
    ] {
        let headers = [("content-type", "text/html"), ("cf-ray", "8f-FRA")];
        let error = failed(response(status, &headers, "<html>marker</html>")).await;
        assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
        assert_eq!(
            (error.outcome(), error.trace_id()),
            (outcome, Some("8f-FRA"))
        );
        assert!(!shown(&error).contains("marker"), "{}", shown(&error));
    }
}

#[tokio::test]
async fn first_trace_id_that_is_not_blank_is_used() {
    let body = r#"{"errors":[],"clerk_trace_id":"body"}"#;
    let empty = r#"{"errors":[],"clerk_trace_id":""}"#;
    let both = [("cf-ray", "ray"), ("clerk-trace-id", "head")];
    let blank = [("cf-ray", "ray"), ("clerk-trace-id", "")];
    for (body, headers, expected) in [
        (body, both, "body"),
        ("", both, "head"),
        ("", blank, "ray"),
        (empty, both, "head"),
        (r#"{"errors":[],"clerk_trace_id":"\u0007\n"}"#, both, "head"),
        (r#"{"errors":{},"clerk_trace_id":"body"}"#, both, "body"),
        (r#"{"clerk_trace_id":"body"}"#, both, "body"),
    ] {
        let error = failed(response(400, &headers, body)).await;
        assert_eq!(error.trace_id(), Some(expected), "{body} {headers:?}");
    }
}

fn cannot_be_revoked(status: &str) -> Response<Full<Bytes>> {
    let body = format!(
        r#"{{"errors":[{{"message":"cannot be revoked","long_message":"Actor token cannot be revoked because its status is {status}. Only pending tokens can be revoked.","code":"actor_token_cannot_be_revoked_code"}}]}}"#
    );
    response(400, &[], body)
}

#[tokio::test(start_paused = true)]
async fn reasons_why_a_token_cannot_be_revoked_are_distinguished() {
    let unavailable = || response(503, &[], "");
    for (responses, expected) in [
        (
            vec![cannot_be_revoked("accepted")],
            Err(ErrorKind::AlreadyAccepted),
        ),
        (
            vec![cannot_be_revoked("revoked")],
            Err(ErrorKind::AlreadyRevoked),
        ),
        (vec![cannot_be_revoked("frozen")], Err(ErrorKind::Api)),
        // The first attempt may have revoked it.
        (
            vec![unavailable(), cannot_be_revoked("revoked")],
            Ok(ActorTokenStatus::Revoked),
        ),
        (
            vec![unavailable(), cannot_be_revoked("accepted")],
            Err(ErrorKind::AlreadyAccepted),
        ),
        // The first attempt was rejected, so it cannot have revoked it.
        (
            vec![response(429, &[], ""), cannot_be_revoked("revoked")],
            Err(ErrorKind::AlreadyRevoked),
        ),
    ] {
        let attempts = responses.len();
        let transport = Scripted::new(responses);
        let result = client(&transport).revoke(&id()).await;
        assert_eq!(transport.sent().len(), attempts);
        if let Err(error) = &result {
            assert_eq!(error.outcome(), Outcome::Rejected, "{error}");
        }
        let result = result.map(|token| token.status().clone());
        assert_eq!(result.map_err(|error| error.kind()), expected);
    }
}
