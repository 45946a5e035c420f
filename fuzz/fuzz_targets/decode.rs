//! Any answer in any pieces, from a transport that breaks, hangs or answers early.
//!
//! Four bytes say how the transport behaves, two more are the status, the rest is the answer as
//! [`Answer`] reads it.

#![no_main]

use std::{future::pending, sync::Arc};

use arbitrary::Unstructured;
use clerk_actor_tokens::{
    ActorToken, Body, BoxError, ClientBuilder, Error, ErrorKind, Outcome, RetryConfig,
};
use clerk_actor_tokens_fuzz::{
    CALL_TIMEOUT, KEY, Op, TOKEN_ID, USER_ID,
    answer::Answer,
    block_on, call, key,
    oracle::{Shown, id_of, is_id},
    transport::End,
};
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower::service_fn;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Answers,
    Fails,
    Hangs,
}

struct Plan {
    op: Op,
    retries: bool,
    takes_body: bool,
    way: Way,
    piece: usize,
    end: End,
    answer: Answer,
}

impl Plan {
    fn new(bytes: &[u8]) -> arbitrary::Result<Self> {
        let mut u = Unstructured::new(bytes);
        let [flags, way, piece, end] = u.arbitrary()?;
        let status: u16 = u.arbitrary()?;
        Ok(Self {
            op: Op::of(flags),
            retries: flags & 2 != 0,
            takes_body: flags & 4 == 0,
            way: match way {
                0..=223 => Way::Answers,
                224..=239 => Way::Fails,
                _ => Way::Hangs,
            },
            piece: if piece == 0 { usize::MAX } else { piece.into() },
            end: match end {
                0..=191 => End::Whole,
                192..=223 => End::Broken,
                _ => End::Never,
            },
            answer: Answer::new(status, u.take_rest()),
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
            match plan.way {
                Way::Answers => Ok(plan.answer.response(plan.piece, plan.end)),
                Way::Fails => Err(BoxError::from("the connection broke")),
                Way::Hangs => pending().await,
            }
        }
    });
    let retry = if plan.retries {
        RetryConfig::default()
    } else {
        RetryConfig::disabled()
    };
    let client = ClientBuilder::over(key(), transport).retry(retry).build();
    let client = client.expect("a transport of one's own is always set up");
    let (result, took) = block_on(async {
        let begun = tokio::time::Instant::now();
        (call(&client, plan.op).await, begun.elapsed())
    });

    assert!(took <= CALL_TIMEOUT, "it took {took:?}");
    let shown = Shown::of(&result);
    shown.holds_no_secret(id_of(&result));
    match &result {
        Ok(token) => {
            shown.is_shorter_than(8 * 1024, 8 * 1024);
            check_token(&plan, token);
        }
        Err(error) => check_error(&plan, error),
    }
});

fn check_token(plan: &Plan, token: &ActorToken) {
    assert!(plan.way == Way::Answers && plan.end == End::Whole);
    assert_eq!(plan.answer.status, StatusCode::OK, "of that status only");
    assert!(is_id(token.id().as_str()));
    match plan.op {
        Op::Create => assert_eq!(token.user_id(), Some(USER_ID)),
        Op::Revoke => assert_eq!(token.id().as_str(), TOKEN_ID),
    }
    let again = ActorToken::from_json(&token.expose_json()).expect("what it writes it can read");
    assert_eq!(again.id(), token.id());
    assert_eq!(again.user_id(), token.user_id());
    // What stands where a key was may read differently the second time.
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
    // The key is no credential of a token, wherever the answer put it.
    assert!(!format!("{token:?}").contains(KEY) || token.id().as_str().contains(KEY));
}

fn check_error(plan: &Plan, error: &Error) {
    if let Some(id) = error.actor_token_id() {
        assert!(is_id(id.as_str()));
        assert_eq!(error.outcome(), Outcome::Applied);
    }
    assert!(error.attempts() > 0 && (plan.retries || error.attempts() == 1));
    let status = plan.answer.status;
    let expected: &[Outcome] = match plan.way {
        Way::Fails | Way::Hangs if plan.takes_body => &[Outcome::Unknown],
        Way::Fails | Way::Hangs => &[Outcome::NotSent],
        Way::Answers if status.is_client_error() => &[Outcome::Rejected],
        Way::Answers if status != StatusCode::OK => &[Outcome::Unknown],
        Way::Answers if plan.takes_body => &[Outcome::Unknown, Outcome::Applied],
        // A transport that answers what it did not send is believed neither way.
        Way::Answers => return,
    };
    let outcome = error.outcome();
    assert!(expected.contains(&outcome), "{status}: {outcome}");
    if plan.way == Way::Answers && plan.end != End::Never {
        assert_eq!(error.status(), Some(status));
    }
    if plan.way == Way::Hangs {
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
}
