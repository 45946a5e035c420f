//! Any responses of the operations on sessions: only sessions of the user are listed, every live one is ended
//! or reported, and no secret shows.
//!
//! Input: two statuses of two bytes, then the response to a listing, a line `====`, and the response to an end.
//! In the second one `~I~` becomes the id of the session.

#![no_main]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use arbitrary::Unstructured;
use clerk_actor_tokens::{
    ActorToken, Body, BoxError, Client, ClientBuilder, EndImpersonationError, Error, Outcome,
    RetryConfig, Session,
};
use clerk_actor_tokens_fuzz::{
    MARKER, block_on, key,
    oracle::{Shown, is_id},
    response::{FuzzResponse, replace, split_once},
    transport::End,
};
use http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use tower::service_fn;

const USER_ID: &str = "user_1";

fuzz_target!(|bytes: &[u8]| {
    let Ok(responses) = read(bytes) else {
        return;
    };
    let (client, sent) = client(responses);
    let listed = block_on(client.impersonations(USER_ID));
    let sessions = match listed {
        Ok(sessions) => sessions,
        Err(error) => {
            assert!(error.outcome() <= Outcome::Rejected, "{error:?}");
            check_error(error);
            return;
        }
    };
    let ids: HashSet<_> = sessions.iter().map(Session::id).collect();
    assert_eq!(ids.len(), sessions.len(), "a session is listed twice");
    if ids.iter().any(|id| id.contains(MARKER)) {
        // An id may read like a key.
        return;
    }
    for session in &sessions {
        assert!(is_id(session.id()) && session.user_id() == USER_ID);
        assert!(!format!("{session:?}").contains(MARKER));
    }

    sent.lock().unwrap().clear();
    let result = block_on(client.end_impersonation(USER_ID, |_| true));
    let live: HashSet<_> = sessions
        .iter()
        .filter(|it| it.is_live())
        .map(Session::id)
        .collect();
    assert_eq!(
        *sent.lock().unwrap(),
        live.iter().map(|id| id.to_string()).collect::<HashSet<_>>(),
        "ended"
    );
    let (ended, failed) = match result {
        Ok(ended) => (ended, Vec::new()),
        Err(EndImpersonationError::NotAllEnded { ended, failed }) => (ended, failed),
        // The listing was readable before.
        Err(error) => panic!("{error:?}"),
    };
    assert!(
        ended
            .iter()
            .all(|it| it.status() == "revoked" && !it.is_live())
    );
    let known = ended
        .iter()
        .chain(failed.iter().map(|(it, _)| it))
        .map(Session::id);
    assert_eq!(known.collect::<HashSet<_>>(), live);
    assert_eq!(ended.len() + failed.len(), live.len());
    for (_, error) in failed {
        check_error(error);
    }
});

fn check_error(error: Error) {
    let shown = Shown::of(&Err::<ActorToken, _>(error));
    shown.holds_no_secret();
    shown.is_presentable();
}

/// The responses to a listing, which is readable, and to an end.
struct Responses {
    list: FuzzResponse,
    status: u16,
    end: Vec<u8>,
}

fn read(bytes: &[u8]) -> arbitrary::Result<Responses> {
    let mut u = Unstructured::new(bytes);
    let (listed, status) = u.arbitrary()?;
    let text = u.take_rest();
    let (list, end) = split_once(text, b"\n====\n").unwrap_or((text, b""));
    Ok(Responses {
        list: FuzzResponse::new(listed, list),
        status,
        end: end.to_vec(),
    })
}

/// The ids of the sessions whose end was sent.
type Sent = Arc<Mutex<HashSet<String>>>;

fn client(responses: Responses) -> (Client, Sent) {
    let sent = Sent::default();
    let (responses, ids) = (Arc::new(responses), Arc::clone(&sent));
    let transport = service_fn(move |request: Request<Body>| {
        let (responses, ids) = (Arc::clone(&responses), Arc::clone(&ids));
        async move {
            let path = request.uri().path().to_owned();
            let is_list = *request.method() == Method::GET;
            let _ = request.into_body().into_bytes();
            if is_list {
                let list = responses.list.response(usize::MAX, End::Complete);
                return Ok::<_, BoxError>(list);
            }
            let id = path
                .strip_prefix("/v1/sessions/")
                .and_then(|it| it.strip_suffix("/revoke"));
            let id = id.expect("the path of an end");
            ids.lock().unwrap().insert(id.to_owned());
            let end = replace(&responses.end, b"~I~", id.as_bytes());
            Ok(FuzzResponse::new(responses.status, &end).response(usize::MAX, End::Complete))
        }
    });
    let client = ClientBuilder::over(key(), transport).retry(RetryConfig::disabled());
    (client.build().expect("valid options"), sent)
}
