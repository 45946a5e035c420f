//! The sandbox: the states of its tokens, and the effect of every fault on a client. Long, because a
//! promise has one file.

use std::{io, sync::Mutex, time::Duration};

use bytes::Bytes;
use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenStatus, Client, ClientBuilder, CreateActorToken, Error, ErrorKind,
    Outcome, RetryConfig, SecretKey, Ticket,
    sandbox::{AcceptError, Fault, Sandbox},
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use tower::ServiceExt;

fn create() -> CreateActorToken {
    CreateActorToken::new(
        "user_1",
        Actor::new("user_2").claim("reason", json!({"n": [1]})),
    )
}

/// Returns a client without retries, over the sandbox's HTTP interface in process.
fn wired(sandbox: &Sandbox) -> Client {
    ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .retry(RetryConfig::disabled())
        .build()
        .unwrap()
}

fn ticket(token: &ActorToken) -> &str {
    token.ticket().and_then(Ticket::expose_token).unwrap()
}

fn counts(sandbox: &Sandbox) -> (usize, usize, usize, usize) {
    let ledger = sandbox.ledger();
    (
        ledger.minted().len(),
        ledger.pending().count(),
        ledger.revoked().count(),
        ledger.accepted().count(),
    )
}

#[tokio::test]
async fn minted_token_has_every_field_of_the_api() {
    let sandbox = Sandbox::new();
    for client in [Client::new(sandbox.clone()), wired(&sandbox)] {
        let token = client.create(create()).await.unwrap();
        let id = token.id().as_str();
        assert!(id.starts_with("act_") && id.len() == 31, "{id}");
        assert_eq!(token.user_id(), Some("user_1"));
        assert_eq!(token.actor(), Some(create().actor()));
        assert_eq!(token.status(), &ActorTokenStatus::Pending);
        assert_eq!(token.created_at(), token.updated_at());
        let lifetime = token
            .expires_at()
            .unwrap()
            .duration_since(token.created_at().unwrap());
        assert_eq!(lifetime.unwrap(), Duration::from_secs(3600));
        assert_eq!(ticket(&token).split('.').count(), 3);
        let url = token.ticket().and_then(Ticket::expose_url).unwrap();
        let front = "https://sandbox.clerk.accounts.dev/v1/tickets/accept?ticket=";
        assert_eq!(url, format!("{front}{}", ticket(&token)));

        let revoked = client.revoke(token.id()).await.unwrap();
        assert_eq!(revoked.status(), &ActorTokenStatus::Revoked);
        assert_eq!(revoked.actor(), token.actor());
        assert!(revoked.ticket().is_none());
    }
    assert_eq!(counts(&sandbox), (2, 0, 2, 0));
}

#[tokio::test]
async fn token_can_be_used_once() {
    let sandbox = Sandbox::new();
    let client = Client::new(sandbox.clone());
    let token = client.create(create()).await.unwrap();
    let accepted = sandbox.accept(ticket(&token)).unwrap();
    assert_eq!(accepted.status(), &ActorTokenStatus::Accepted);
    assert_eq!(
        (accepted.id(), accepted.ticket().is_none()),
        (token.id(), true)
    );
    let link = token.ticket().and_then(Ticket::expose_url).unwrap();
    assert_eq!(
        sandbox.accept(link).unwrap_err(),
        AcceptError::AlreadyAccepted
    );
    assert_eq!(sandbox.accept("eyJ").unwrap_err(), AcceptError::Unknown);
    assert_eq!(sandbox.accept("").unwrap_err(), AcceptError::Unknown);
    assert_eq!(counts(&sandbox), (1, 0, 0, 1));
}

#[tokio::test]
async fn ticket_is_found_in_a_link_or_alone() {
    let sandbox = Sandbox::new();
    let client = Client::new(sandbox.clone());
    for (before, after) in [
        ("", ""),
        ("https://x/v1/tickets/accept?ticket=", ""),
        ("https://x/v1/tickets/accept?a=b&ticket=", "&c=d#e"),
    ] {
        let token = client.create(create()).await.unwrap();
        let link = format!("{before}{}{after}", ticket(&token));
        assert_eq!(sandbox.accept(&link).unwrap().id(), token.id(), "{link}");
    }
    for link in ["https://x/v1/tickets/accept?a=b", "https://x/?"] {
        assert_eq!(sandbox.accept(link).unwrap_err(), AcceptError::Unknown);
    }
}

#[tokio::test]
async fn only_a_pending_token_can_be_revoked() {
    let sandbox = Sandbox::new();
    for client in [Client::new(sandbox.clone()), wired(&sandbox)] {
        let token = client.create(create()).await.unwrap();
        sandbox.accept(ticket(&token)).unwrap();
        let error = client.revoke(token.id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyAccepted);
        assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
        assert_eq!(error.code(), Some("actor_token_cannot_be_revoked_code"));
        let entry = &error.clerk_errors().unwrap().errors[0];
        assert_eq!(entry.message, "cannot be revoked");
        assert_eq!(
            entry.long_message,
            "Actor token cannot be revoked because its status is accepted. Only pending tokens can be revoked."
        );

        let token = client.create(create()).await.unwrap();
        client.revoke(token.id()).await.unwrap();
        let error = client.revoke(token.id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyRevoked);
        assert_eq!(
            sandbox.accept(ticket(&token)).unwrap_err(),
            AcceptError::Revoked
        );

        let error = client.revoke("act_unknown").await.unwrap_err();
        assert_eq!((error.status(), error.code()), not_found());
    }
}

fn not_found() -> (Option<StatusCode>, Option<&'static str>) {
    (Some(StatusCode::NOT_FOUND), Some("resource_not_found"))
}

#[tokio::test(start_paused = true)]
async fn expired_token_cannot_be_used_but_is_pending_and_can_be_revoked() {
    let sandbox = Sandbox::new();
    let client = wired(&sandbox);
    let short = create().expires_in(Duration::from_secs(60));
    let (first, second) = (
        client.create(short.clone()).await.unwrap(),
        client.create(short).await.unwrap(),
    );
    let default = client.create(create()).await.unwrap();

    tokio::time::advance(Duration::from_secs(59)).await;
    sandbox.accept(ticket(&first)).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        sandbox.accept(ticket(&second)).unwrap_err(),
        AcceptError::Expired
    );
    assert_eq!(counts(&sandbox), (3, 1, 0, 1));
    let ledger = sandbox.ledger();
    let entry = ledger.minted().nth(1).unwrap();
    assert_eq!((entry.id(), entry.user_id()), (second.id(), "user_1"));
    assert_eq!(entry.actor().sub(), "user_2");
    assert_eq!(entry.session_max_duration(), None);
    assert_eq!(
        (entry.status(), entry.is_usable()),
        (&ActorTokenStatus::Pending, false)
    );
    assert_eq!(Some(entry.created_at()), second.created_at());
    assert_eq!(Some(entry.expires_at()), second.expires_at());

    // Expired tokens keep the status `pending`, so they can be revoked.
    let revoked = client.revoke(second.id()).await.unwrap();
    let changed = revoked
        .updated_at()
        .unwrap()
        .duration_since(second.created_at().unwrap());
    assert_eq!(changed.unwrap(), Duration::from_secs(60));

    tokio::time::advance(Duration::from_secs(3539)).await;
    sandbox.accept(ticket(&default)).unwrap();
}

#[test]
fn sandbox_works_outside_of_a_runtime() {
    let sandbox = Sandbox::new().rate_limit(1, Duration::from_secs(60));
    assert_eq!(sandbox.ledger().minted().len(), 0);
    assert_eq!(sandbox.accept("x").unwrap_err(), AcceptError::Unknown);
}

#[tokio::test]
async fn create_for_an_unknown_user_is_not_found() {
    let sandbox = Sandbox::new().known_users(["user_1", "user_3"]);
    let client = wired(&sandbox);
    client.create(create()).await.unwrap();
    let unknown = CreateActorToken::new("user_9", Actor::new("user_2"));
    let error = client.create(unknown).await.unwrap_err();
    assert_eq!((error.status(), error.code()), not_found());
    assert_eq!(counts(&sandbox).0, 1);
}

#[tokio::test]
async fn create_beyond_the_quota_is_refused_with_limit_and_use() {
    let sandbox = Sandbox::new().quota(2);
    let client = wired(&sandbox);
    client.create(create()).await.unwrap();
    let token = client.create(create()).await.unwrap();
    // A revoke does not restore the quota.
    client.revoke(token.id()).await.unwrap();
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(error.code(), Some("impersonation_limit_exceeded"));
    let meta = &error.clerk_errors().unwrap().errors[0].meta;
    assert_eq!((&meta["limit"], &meta["used"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn create_without_impersonation_in_the_plan_is_refused() {
    let client = wired(&Sandbox::new().without_impersonation());
    let error = client.create(create()).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::PAYMENT_REQUIRED));
    assert_eq!(error.code(), Some("unsupported_subscription_plan_features"));
    let meta = &error.clerk_errors().unwrap().errors[0].meta;
    assert!(meta["unsupported_features"].is_array());
}

#[tokio::test(start_paused = true)]
async fn request_beyond_the_rate_limit_is_refused_until_the_window_ends() {
    let sandbox = Sandbox::new().rate_limit(2, Duration::from_secs(10));
    let clients = [Client::new(sandbox.clone()), wired(&sandbox)];
    for client in &clients {
        client.create(create()).await.unwrap();
    }
    tokio::time::advance(Duration::from_millis(7500)).await;
    for (client, wait) in clients.iter().zip([2500, 3000]) {
        let error = client.create(create()).await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(error.code(), Some("too_many_requests"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(wait)));
    }
    tokio::time::advance(Duration::from_millis(2500)).await;
    for client in &clients {
        client.create(create()).await.unwrap();
    }
}

#[tokio::test]
async fn invalid_create_is_refused_in_process_too() {
    let client = Client::new(Sandbox::new());
    let error = client
        .create(CreateActorToken::new("", Actor::new("a")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("form_param_value_invalid"));
}

#[tokio::test]
async fn key_is_checked_over_the_wire() {
    let key = || SecretKey::new("sk_test_mine").unwrap();
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.secret_key().expose(), "sk_test_sandbox");
    let sandbox = sandbox.key(key());
    for (presented, code) in [
        (key(), None),
        (Sandbox::new().secret_key(), Some("clerk_key_invalid")),
    ] {
        let client = ClientBuilder::over(presented, sandbox.transport())
            .build()
            .unwrap();
        let result = client.create(create()).await;
        assert_eq!(result.as_ref().err().and_then(Error::code), code);
    }
    assert!(!format!("{sandbox:?} {:?}", sandbox.transport()).contains("sk_test"));
}

/// Sends a create with this fault. Returns its result and the number of tokens minted until then.
async fn create_with(fault: Fault) -> (Result<ActorToken, Error>, usize) {
    let sandbox = Sandbox::new();
    sandbox.inject(fault);
    let client = wired(&sandbox);
    let result = client.create(create()).await;
    assert_eq!(sandbox.requests(), 1);
    let minted = sandbox.ledger().minted().len();
    // The next request has no fault.
    assert!(client.create(create()).await.is_ok());
    (result, minted)
}

#[tokio::test(start_paused = true)]
async fn every_fault_has_its_documented_effect() {
    use ErrorKind as K;
    let body = |text: &'static str| Fault::Body(Bytes::from_static(text.as_bytes()));
    let wait = Duration::from_secs(7);
    let five = |code| StatusCode::from_u16(code).unwrap();
    for (fault, kind, outcome, status, minted) in [
        (
            Fault::Status(five(500)),
            K::Api,
            Outcome::Unknown,
            Some(500),
            0,
        ),
        (
            Fault::Status(five(403)),
            K::Api,
            Outcome::Rejected,
            Some(403),
            0,
        ),
        (
            Fault::Status(five(302)),
            K::UnexpectedStatus,
            Outcome::Unknown,
            Some(302),
            0,
        ),
        (
            Fault::RateLimited { retry_after: wait },
            K::Api,
            Outcome::Rejected,
            Some(429),
            0,
        ),
        (
            Fault::StatusAfter(five(503)),
            K::Api,
            Outcome::Unknown,
            Some(503),
            1,
        ),
        (
            Fault::DisconnectBefore,
            K::Transport,
            Outcome::Unknown,
            None,
            0,
        ),
        (
            Fault::DisconnectAfter,
            K::Transport,
            Outcome::Unknown,
            None,
            1,
        ),
        (Fault::HangBefore, K::Timeout, Outcome::Unknown, None, 0),
        (Fault::HangAfter, K::Timeout, Outcome::Unknown, None, 1),
        (
            Fault::Truncate(0),
            K::UnreadableResponse,
            Outcome::Unknown,
            Some(200),
            1,
        ),
        (
            Fault::Truncate(100),
            K::UnreadableResponse,
            Outcome::Applied,
            Some(200),
            1,
        ),
        (
            body("{}"),
            K::UnreadableResponse,
            Outcome::Unknown,
            Some(200),
            1,
        ),
        (
            Fault::Delay(Duration::MAX),
            K::Timeout,
            Outcome::Unknown,
            None,
            0,
        ),
        (
            Fault::DelayAfter(Duration::MAX),
            K::Timeout,
            Outcome::Unknown,
            None,
            1,
        ),
        (
            Fault::Pause {
                after: 100,
                time: Duration::MAX,
            },
            K::Timeout,
            Outcome::Applied,
            Some(200),
            1,
        ),
        (
            Fault::Html(five(520)),
            K::Api,
            Outcome::Unknown,
            Some(520),
            0,
        ),
    ] {
        let shown = format!("{fault:?}");
        let (result, count) = create_with(fault.clone()).await;
        let error = result.expect_err(&shown);
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, outcome),
            "{shown}: {error}"
        );
        assert_eq!(error.status().map(|it| it.as_u16()), status, "{shown}");
        assert_eq!(count, minted, "{shown}");
        let retry_after = error.retry_after();
        assert_eq!(
            retry_after,
            (status == Some(429)).then_some(wait),
            "{shown}"
        );
        let has_trace_id = matches!(
            fault,
            Fault::Status(_) | Fault::StatusAfter(_) | Fault::Html(_)
        );
        assert!(error.trace_id().is_some() || !has_trace_id, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn delay_pause_and_truncation_beyond_the_end_keep_the_response() {
    let time = Duration::from_secs(9);
    for fault in [
        Fault::Delay(time),
        Fault::DelayAfter(time),
        Fault::Pause { after: 0, time },
        Fault::Pause { after: 100, time },
        Fault::Pause {
            after: 1 << 20,
            time,
        },
    ] {
        let before = tokio::time::Instant::now();
        let (result, minted) = create_with(fault.clone()).await;
        assert_eq!((result.is_ok(), minted), (true, 1), "{fault:?}");
        assert_eq!(before.elapsed(), time, "{fault:?}");
    }
    assert!(create_with(Fault::Truncate(1 << 20)).await.0.is_ok());
}

#[tokio::test]
async fn disconnect_is_an_io_error_and_truncation_a_body_error_after_the_first_bytes() {
    let sandbox = Sandbox::new();
    let revoke = || {
        Request::post("/v1/actor_tokens/act_1/revoke")
            .header("authorization", "Bearer sk_test_sandbox")
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    sandbox.inject(Fault::DisconnectBefore);
    let error = sandbox.transport().oneshot(revoke()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    sandbox.inject(Fault::Truncate(5));
    let response = sandbox.transport().oneshot(revoke()).await.unwrap();
    let announced: u64 = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut body = response.into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(announced));
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().len(), 5);
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn injected_faults_apply_in_order() {
    let sandbox = Sandbox::new();
    let client = wired(&sandbox);
    for status in [
        StatusCode::FORBIDDEN,
        StatusCode::CONFLICT,
        StatusCode::LOCKED,
    ] {
        sandbox.inject(Fault::Status(status));
    }
    for status in [403, 409, 423] {
        let error = client.create(create()).await.unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
    }
    client.create(create()).await.unwrap();
    assert_eq!(
        (sandbox.requests(), sandbox.ledger().minted().len()),
        (4, 1)
    );
}

#[tokio::test]
async fn faults_by_chooses_by_number_and_head_after_the_injected_faults() {
    let sandbox = Sandbox::new().faults_by(|number, head| {
        let status = StatusCode::from_u16(500 + u16::try_from(number).unwrap()).unwrap();
        (head.uri.path() == "/v1/actor_tokens").then_some(Fault::Status(status))
    });
    let client = wired(&sandbox);
    sandbox.inject(Fault::Status(StatusCode::CONFLICT));
    for status in [409, 502, 503] {
        let error = client.create(create()).await.unwrap_err();
        assert_eq!(error.status().unwrap(), status);
    }
    let unknown = client.revoke("act_1").await.unwrap_err();
    assert_eq!(unknown.status().unwrap(), StatusCode::NOT_FOUND);
    assert_eq!(sandbox.requests(), 4);
}

#[tokio::test]
async fn debug_shows_neither_credential_nor_user() {
    let sandbox = Sandbox::new();
    let token = Client::new(sandbox.clone()).create(create()).await.unwrap();
    let shown = format!(
        "{sandbox:?} {:?} {:?}",
        sandbox.ledger(),
        sandbox.transport()
    );
    assert!(
        !shown.contains(ticket(&token)) && !shown.contains("user_1"),
        "{shown}"
    );
}

#[cfg(feature = "transport")]
mod over_tcp {
    use http_body_util::Full;
    use hyper_util::{client::legacy, rt::TokioExecutor};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::*;

    fn client(sandbox: &Sandbox, base_url: clerk_actor_tokens::BaseUrl) -> Client {
        Client::builder(sandbox.secret_key())
            .base_url(base_url)
            .retry(RetryConfig::disabled())
            .build()
            .unwrap()
    }

    async fn open(link: &str, is_http2: bool) -> (u16, Value) {
        let client: legacy::Client<_, Full<Bytes>> = legacy::Client::builder(TokioExecutor::new())
            .http2_only(is_http2)
            .build_http();
        let response = client.get(link.parse().unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn token_is_minted_and_revoked() {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let client = client(&sandbox, server.base_url());
        let token = client.create(create()).await.unwrap();
        assert_eq!(token.actor(), Some(create().actor()));
        client.revoke(token.id()).await.unwrap();
        let error = client.revoke(token.id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyRevoked);
        assert_eq!((counts(&sandbox), sandbox.requests()), ((1, 0, 1, 0), 3));
    }

    #[tokio::test]
    async fn link_works_once_over_http1_and_http2() {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let client = client(&sandbox, server.base_url());
        for is_http2 in [false, true] {
            let token = client.create(create()).await.unwrap();
            let link = token.ticket().and_then(Ticket::expose_url).unwrap();
            let front = format!("http://{}/v1/tickets/accept?ticket=", server.addr());
            assert!(link.starts_with(&front));

            let accepted = json!({"status": "accepted", "user_id": "user_1"});
            assert_eq!(open(link, is_http2).await, (200, accepted));
            let (status, body) = open(link, is_http2).await;
            assert_eq!(status, 400);
            assert_eq!(body["errors"][0]["code"], "actor_token_already_used_code");
            assert_eq!(open(&front, is_http2).await.0, 404);
            let error = client.revoke(token.id()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyAccepted);
        }
        // Requests for links are not counted.
        assert_eq!(sandbox.requests(), 4);
    }

    #[tokio::test]
    async fn faults_break_connections() {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let client = client(&sandbox, server.base_url());
        let not_this = Bytes::from_static(b"{\"id\":\"act_1\"}");
        for (fault, outcome, minted) in [
            (Fault::DisconnectBefore, Outcome::Unknown, 0),
            (Fault::DisconnectAfter, Outcome::Unknown, 1),
            (Fault::Truncate(0), Outcome::Unknown, 2),
            (Fault::Truncate(100), Outcome::Applied, 3),
            (Fault::Body(not_this), Outcome::Applied, 4),
            (Fault::Html(StatusCode::BAD_GATEWAY), Outcome::Unknown, 4),
        ] {
            sandbox.inject(fault.clone());
            let error = client.create(create()).await.unwrap_err();
            assert_eq!(error.outcome(), outcome, "{fault:?}: {error:?}");
            assert_eq!(sandbox.ledger().minted().len(), minted, "{fault:?}");
            client.drain(Duration::from_secs(10)).await;
        }
    }

    #[tokio::test]
    async fn dropping_the_server_ends_its_connections() {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let client = client(&sandbox, server.base_url());
        let _kept = client.create(create()).await.unwrap();
        sandbox.inject(Fault::HangAfter);
        let call = tokio::spawn(async move { client.create(create()).await });
        while sandbox.ledger().minted().len() < 2 {
            tokio::task::yield_now().await;
        }
        drop(server);
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_ne!(error.kind(), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn request_in_flight_has_no_effect_after_the_server_was_dropped() {
        let sandbox = Sandbox::new();
        let server = sandbox.spawn().await.unwrap();
        let (addr, client) = (server.addr(), client(&sandbox, server.base_url()));
        let _kept = client.create(create()).await.unwrap();
        // The server is dropped after the request was received.
        let server = Mutex::new(Some(server));
        let sandbox = sandbox.faults_by(move |_, _| {
            drop(server.lock().unwrap().take());
            None
        });
        let error = client.create(create()).await.unwrap_err();
        assert_eq!((error.outcome(), counts(&sandbox).0), (Outcome::Unknown, 1));
        assert!(std::net::TcpStream::connect(addr).is_err());
    }

    #[tokio::test]
    async fn port_refuses_connections_as_soon_as_the_server_is_dropped() {
        let server = Sandbox::new().spawn().await.unwrap();
        let addr = server.addr();
        drop(server);
        assert!(std::net::TcpStream::connect(addr).is_err());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(Sandbox::new().serve(listener));
        assert!(std::net::TcpStream::connect(addr).is_err());
    }

    #[tokio::test]
    async fn port_refuses_connections_as_soon_as_a_running_serve_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut serve = Box::pin(Sandbox::new().serve(listener));
        let mut kept = TcpStream::connect(addr).await.unwrap();
        kept.write_all(REQUEST).await.unwrap();
        let mut status = [0; 12];
        tokio::select! {
            _ = &mut serve => panic!("it ended"),
            read = kept.read_exact(&mut status) => assert_eq!(read.unwrap(), 12),
        }
        drop(serve);
        assert!(std::net::TcpStream::connect(addr).is_err());
        // The connection ends, too.
        let _ = kept.read_to_end(&mut Vec::new()).await;
    }

    const REQUEST: &[u8] = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn connection_with_an_incomplete_head_is_closed() {
        let server = Sandbox::new().spawn().await.unwrap();
        for head in [
            &b""[..],
            b"POST /v1/actor_tokens HTTP/1.1\r\nhost: ",
            REQUEST,
        ] {
            let mut stream = TcpStream::connect(server.addr()).await.unwrap();
            stream.write_all(head).await.unwrap();
            let mut received = Vec::new();
            let end = stream.read_to_end(&mut received);
            let end = timeout(Duration::from_secs(86_400), end).await;
            assert!(
                end.is_ok(),
                "the connection stays open: {}",
                head.escape_ascii()
            );
            assert_eq!(received.is_empty(), head != REQUEST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connection_beyond_the_limit_waits_until_another_has_ended() {
        // Both sides of the connections are in this process.
        #[cfg(unix)]
        rlimit::increase_nofile_limit(4096).unwrap();
        let server = Sandbox::new().spawn().await.unwrap();
        let mut connections = Vec::new();
        for _ in 0..1024 {
            connections.push(TcpStream::connect(server.addr()).await.unwrap());
        }
        let mut last = TcpStream::connect(server.addr()).await.unwrap();
        last.write_all(REQUEST).await.unwrap();
        let mut status = [0; 12];
        let second = Duration::from_secs(1);
        let early = timeout(second, last.read_exact(&mut status)).await;
        assert!(early.is_err(), "the request was served");
        connections.pop();
        let served = timeout(second, last.read_exact(&mut status)).await;
        assert_eq!(served.unwrap().unwrap(), 12);
    }
}
