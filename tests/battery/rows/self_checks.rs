//! Checks of the harness.

use clerk_actor_tokens::{Body, BoxError, OperationKind};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};

use super::{Runnable, connecting::https};
use crate::{
    harness::{
        caller::{Caller, key},
        leaks::without_leaks,
        row::{paused, row},
        run::OK,
        script::{Op, Step},
        sockets::Accept,
        split::Split,
    },
    search,
};

const SECTION: &str = "Self-checks";

pub(crate) fn rows() -> Vec<Runnable> {
    let mut rows: Vec<Runnable> = Vec::new();
    for (name, op, kind, reached) in [
        (
            "a create reaches the peer",
            Op::Create,
            OperationKind::Create,
            true,
        ),
        (
            "a revoke reaches the peer",
            Op::Revoke,
            OperationKind::Revoke,
            true,
        ),
        (
            "a revoke that settles a create does not reach the peer",
            Op::Create,
            OperationKind::Revoke,
            false,
        ),
    ] {
        let check = move || paused(splits(op, kind, reached))?;
        rows.push((SECTION, name.into(), Box::new(check)));
    }
    rows.push((
        SECTION,
        "the logs of all crates are searched".into(),
        Box::new(all_crates_are_searched),
    ));
    rows.push((SECTION, "a leak is found".into(), Box::new(a_leak_is_found)));
    rows
}

/// The search receives the logs of each crate.
fn all_crates_are_searched() -> Result<(), String> {
    let http2 = vec![Step::Http2(&[]), Step::Request, Step::RespondOn(1)];
    https("by HTTP/2", Accept::TlsHttp2(http2), (OK, 1), Some(1)).check()?;
    let actual = search::logging_crates();
    let mut expected = vec!["clerk_actor_tokens", "h2", "hyper_util", "rustls"];
    if cfg!(hyper_unstable_tracing) {
        expected.push("hyper");
    }
    if cfg!(tokio_unstable) {
        expected.push("tokio");
    }
    match expected.into_iter().find(|name| !actual.contains(*name)) {
        None => Ok(()),
        Some(missing) => Err(format!("no logs of {missing}, only {actual:?}")),
    }
}

/// A leak fails a row that is correct otherwise.
fn a_leak_is_found() -> Result<(), String> {
    let leaking = Caller {
        layer: |_| log::trace!("{}", key().expose()),
        ..Caller::default()
    };
    let success = || {
        row(
            "success",
            vec![Step::Request, Step::Respond],
            (OK, 1),
            (OK, 1),
        )
    };
    without_leaks(|| success().check())?;
    match without_leaks(|| success().with_caller(leaking).check()) {
        Err(why) if why.contains("a secret shows") => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Checks whether a request of `kind` in a row about `op` reaches the peer, and is recorded.
async fn splits(op: Op, kind: OperationKind, reached: bool) -> Result<(), String> {
    let peer = service_fn(|_| async { Ok::<_, BoxError>(Response::new("the peer".to_owned())) });
    let (split, log) = Split::new(op, peer);
    let uri = "http://127.0.0.1/v1/actor_tokens/act_7/revoke";
    let request = Request::post(uri).body(Body::new(kind, "")).unwrap();
    let response = split
        .oneshot(request)
        .await
        .map_err(|error| error.to_string())?;
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let expected = if reached {
        ("the peer".into(), 1, vec![])
    } else {
        let settled = r#"{"id":"act_7","status":"revoked"}"#;
        (settled.into(), 0, vec!["act_7".to_owned()])
    };
    let attempts = log.attempts.lock().unwrap().len();
    let actual = (body, attempts, log.revoked.lock().unwrap().clone());
    if actual == expected {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, got {actual:?}"))
    }
}
