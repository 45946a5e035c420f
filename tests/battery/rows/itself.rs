//! What the other rows rely on.

use clerk_actor_tokens::{Body, BoxError, Intent};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};

use super::Runnable;
use crate::harness::{row::paused, script::Op, settling::Split};

pub(crate) fn rows() -> Vec<Runnable> {
    let mut rows: Vec<Runnable> = Vec::new();
    for (name, op, intent, reached) in [
        (
            "a create reaches the peer",
            Op::Create,
            Intent::Create,
            true,
        ),
        (
            "a revoke reaches the peer",
            Op::Revoke,
            Intent::Revoke,
            true,
        ),
        (
            "a revoke that settles a create does not reach the peer",
            Op::Create,
            Intent::Revoke,
            false,
        ),
    ] {
        let check = move || paused(splits(op, intent, reached))?;
        rows.push(("The battery itself", name.into(), Box::new(check)));
    }
    rows
}

/// Whether a request of `intent` in a row about `op` reaches the peer, and is noted where it must be.
async fn splits(op: Op, intent: Intent, reached: bool) -> Result<(), String> {
    let peer = service_fn(|_| async { Ok::<_, BoxError>(Response::new("the peer".to_owned())) });
    let (split, log) = Split::new(op, peer);
    let uri = "http://127.0.0.1/v1/actor_tokens/act_7/revoke";
    let request = Request::post(uri).body(Body::new(intent, "")).unwrap();
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
