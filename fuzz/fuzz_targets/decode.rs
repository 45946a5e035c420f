//! Any response in any pieces, from a transport that fails, hangs or responds early.
//!
//! Input: four bytes for the transport, two for the status, then a [`FuzzResponse`].

#![no_main]

use std::{future::pending, sync::Arc};

use arbitrary::Unstructured;
use clerk_actor_tokens::{
    ActorToken, Body, BoxError, ClientBuilder, Error, ErrorKind, Outcome, RetryConfig,
};
use clerk_actor_tokens_fuzz::{
    CALL_TIMEOUT, KEY, Op, TOKEN_ID, USER_ID, block_on, call, key,
    oracle::{Shown, is_id, is_not_revoked},
    response::FuzzResponse,
    transport::End,
};
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower::service_fn;

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Respond,
    Fail,
    Hang,
}

struct Plan {
    op: Op,
    retries: bool,
    takes_body: bool,
    action: Action,
    piece: usize,
    end: End,
    response: FuzzResponse,
}

impl Plan {
    fn new(bytes: &[u8]) -> arbitrary::Result<Self> {
        let mut u = Unstructured::new(bytes);
        let [flags, action, piece, end] = u.arbitrary()?;
        let status: u16 = u.arbitrary()?;
        Ok(Self {
            op: Op::of(flags),
            retries: flags & 2 != 0,
            takes_body: flags & 4 == 0,
            action: match action {
                0..=223 => Action::Respond,
                224..=239 => Action::Fail,
                _ => Action::Hang,
            },
            piece: if piece == 0 { usize::MAX } else { piece.into() },
            end: match end {
                0..=191 => End::Complete,
                192..=223 => End::Error,
                _ => End::Never,
            },
            response: FuzzResponse::new(status, u.take_rest()),
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = Plan::new(bytes) else {
        return;
    };
    let plan = Arc::new(plan);
    let peer = Arc::clone(&plan);
    let transport = service_fn(move |request: Request<Body>| {
        let plan = Arc::clone(&peer);
        async move {
            if plan.takes_body {
                let _ = request.into_body().into_bytes();
            }
            match plan.action {
                Action::Respond => Ok(plan.response.response(plan.piece, plan.end)),
                Action::Fail => Err(BoxError::from("connection lost")),
                Action::Hang => pending().await,
            }
        }
    });
    let retry = if plan.retries {
        RetryConfig::default()
    } else {
        RetryConfig::disabled()
    };
    let client = ClientBuilder::over(key(), transport).retry(retry).build();
    let client = client.expect("valid options");
    let (result, took) = block_on(async {
        let begun = tokio::time::Instant::now();
        (call(&client, plan.op).await, begun.elapsed())
    });

    assert!(took <= CALL_TIMEOUT, "it took {took:?}");
    let shown = Shown::of(&result);
    shown.holds_no_secret();
    match &result {
        Ok(token) => {
            shown.is_shorter_than(8 * 1024, 8 * 1024);
            check_token(&plan, token);
        }
        Err(error) => check_error(&plan, error),
    }
});

fn check_token(plan: &Plan, token: &ActorToken) {
    assert!(plan.action == Action::Respond && plan.end == End::Complete);
    assert_eq!(plan.response.status, StatusCode::OK);
    assert!(is_id(token.id().as_str()));
    match plan.op {
        Op::Create => assert_eq!(token.user_id(), Some(USER_ID)),
        Op::Revoke => assert_eq!(token.id().as_str(), TOKEN_ID),
    }
    let again = ActorToken::from_json(&token.expose_json()).expect("written JSON can be read");
    assert_eq!(again.id(), token.id());
    assert_eq!(again.user_id(), token.user_id());
    // A masked status may be masked differently the second time.
    if !token.status().as_str().contains("sk_") {
        assert_eq!(again.status(), token.status());
    }
    assert_eq!(again.created_at(), token.created_at());
    assert_eq!(again.updated_at(), token.updated_at());
    assert_eq!(again.actor().is_some(), token.actor().is_some());
    let ticket = |token: &ActorToken| {
        let ticket = token.ticket()?;
        Some([ticket.expose_token(), ticket.expose_url()].map(|text| text.map(str::to_owned)))
    };
    assert_eq!(ticket(&again), ticket(token));
    // The client's key is masked, even as a credential.
    assert!(!format!("{token:?}").contains(KEY) || token.id().as_str().contains(KEY));
}

fn check_error(plan: &Plan, error: &Error) {
    let (status, outcome) = (plan.response.status, error.outcome());
    let expected: &[Outcome] = match plan.action {
        _ if !plan.takes_body => &[Outcome::NotSent],
        Action::Fail | Action::Hang => &[Outcome::Unknown],
        // Proxies send these after they forwarded the request.
        Action::Respond if [408, 460, 499].contains(&status.as_u16()) => &[Outcome::Unknown],
        Action::Respond if status.is_client_error() => &[Outcome::Rejected],
        Action::Respond if status != StatusCode::OK => &[Outcome::Unknown],
        Action::Respond if is_not_revoked(error) => &[Outcome::Rejected],
        Action::Respond => &[Outcome::Unknown, Outcome::Applied],
    };
    assert!(expected.contains(&outcome), "{status}: {outcome}");
    if let Some(id) = error.actor_token_id() {
        assert!(is_id(id.as_str()));
        // The token of another user leaves the create itself unknown.
        let is_foreign = plan.op == Op::Create && outcome == Outcome::Unknown;
        let is_known = outcome == Outcome::Applied || is_not_revoked(error) || is_foreign;
        assert!(is_known || !plan.takes_body, "{outcome}");
    }
    assert!(error.attempts() > 0 && (plan.retries || error.attempts() == 1));
    if plan.action == Action::Respond && plan.end != End::Never {
        assert_eq!(error.status(), Some(status));
    }
    if plan.action == Action::Hang {
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
}
