//! What the other rows rely on.

use clerk_actor_tokens::{Body, BoxError, OperationKind};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};

use super::{Runnable, connecting::https};
use crate::{
    harness::{
        caller::{Caller, key},
        row::{paused, row},
        run::OK,
        script::{Op, Step},
        settling::Split,
        silence::silent,
        sockets::Accept,
    },
    search,
};

const SECTION: &str = "The battery itself";

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
        "everybody who logs is heard".into(),
        Box::new(everybody_is_heard),
    ));
    rows.push((SECTION, "a leak is found".into(), Box::new(a_leak_is_found)));
    rows
}

/// A search that hears nobody finds nothing.
fn everybody_is_heard() -> Result<(), String> {
    let http2 = vec![Step::Http2(&[]), Step::Request, Step::AnswerStream(1)];
    https("by HTTP/2", Accept::TlsHttp2(http2), (OK, 1), Some(1)).check()?;
    let heard = search::heard();
    let mut wanted = vec!["clerk_actor_tokens", "h2", "hyper_util", "rustls"];
    if cfg!(hyper_unstable_tracing) {
        wanted.push("hyper");
    }
    if cfg!(tokio_unstable) {
        wanted.push("tokio");
    }
    match wanted.into_iter().find(|name| !heard.contains(*name)) {
        None => Ok(()),
        Some(silent) => Err(format!("{silent} was not heard, only {heard:?}")),
    }
}

/// It fails the row, even where everything else is as it should be.
fn a_leak_is_found() -> Result<(), String> {
    let leaking = Caller {
        layer: |_| log::trace!("{}", key().expose()),
        ..Caller::default()
    };
    let well = || {
        row(
            "all well",
            vec![Step::Request, Step::Answer],
            (OK, 1),
            (OK, 1),
        )
    };
    silent(|| well().check())?;
    match silent(|| well().by(leaking).check()) {
        Err(why) if why.contains("a secret shows") => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Whether a request of `kind` in a row about `op` reaches the peer, and is noted where it must be.
async fn splits(op: Op, kind: OperationKind, reached: bool) -> Result<(), String> {
    let peer = service_fn(|_| async { Ok::<_, BoxError>(Response::new("the peer".to_owned())) });
    let (split, log) = Split::new(op, peer);
    let uri = "http://127.0.0.1/v1/actor_tokens/act_7/revoke";
    let request = Request::post(uri).body(Body::new(kind, "")).unwrap();
    let answer = split
        .oneshot(request)
        .await
        .map_err(|error| error.to_string())?;
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let wanted = if reached {
        ("the peer".into(), 1, vec![])
    } else {
        let settled = r#"{"id":"act_7","status":"revoked"}"#;
        (settled.into(), 0, vec!["act_7".to_owned()])
    };
    let attempts = log.attempts.lock().unwrap().len();
    let came = (body, attempts, log.revoked.lock().unwrap().clone());
    if came == wanted {
        Ok(())
    } else {
        Err(format!("wanted {wanted:?}, got {came:?}"))
    }
}
