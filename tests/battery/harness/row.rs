//! A row: a script for the peer, and what must come of it.

use std::{error::Error as StdError, sync::atomic::Ordering, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, Client, ClientBuilder, CreateActorToken, Error, Outcome,
    SecretKey,
};
use tokio::time::Instant;

use super::{
    pipe,
    script::{Op, Step},
};

/// A part of every secret in a row; it must never show.
pub(crate) const MARKER: &str = "MARKER";

/// The time of a call, and of an attempt, as the client has them by default.
const CALL: Duration = Duration::from_secs(30);

/// How a call must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Token,
    Failure(Outcome),
    /// However it ends, as long as the peer saw no more requests than a safe client sends, and no
    /// more than are wanted, zero being no bound.
    Safe,
}

pub(crate) const OK: End = End::Token;
pub(crate) const NS: End = End::Failure(Outcome::NotSent);
pub(crate) const RJ: End = End::Failure(Outcome::Rejected);
pub(crate) const UN: End = End::Failure(Outcome::Unknown);
pub(crate) const AP: End = End::Failure(Outcome::Applied);

/// How a call must end, and how many whole requests the peer must have seen.
pub(crate) type Want = (End, u32);

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) http2: bool,
    /// Whether a call that goes well comes first, on the same connection.
    pub(crate) warm: bool,
    /// How many calls are made at once; each must end alike, and the requests are those of all.
    pub(crate) calls: usize,
    /// One script a connection; the last one is played for ever.
    pub(crate) scripts: Vec<Vec<Step>>,
    pub(crate) create: Want,
    pub(crate) revoke: Want,
}

/// A row on HTTP/1.1 whose every connection plays the same script.
pub(crate) fn row(name: impl Into<String>, script: Vec<Step>, create: Want, revoke: Want) -> Row {
    Row {
        name: name.into(),
        http2: false,
        warm: false,
        calls: 1,
        scripts: vec![script],
        create,
        revoke,
    }
}

/// The same on HTTP/2.
pub(crate) fn row2(name: impl Into<String>, script: Vec<Step>, create: Want, revoke: Want) -> Row {
    let http2 = [vec![Step::Http2(None)], script].concat();
    Row {
        http2: true,
        ..row(name, http2, create, revoke)
    }
}

impl Row {
    /// A call that goes well comes first; the script must answer it, and its request is not counted.
    pub(crate) fn after_a_good_call(mut self) -> Self {
        self.warm = true;
        self
    }

    /// So many calls are made at once.
    pub(crate) fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// Further connections play these scripts in turn.
    pub(crate) fn then(mut self, script: Vec<Step>) -> Self {
        let http2 = if self.http2 {
            vec![Step::Http2(None)]
        } else {
            vec![]
        };
        self.scripts.push([http2, script].concat());
        self
    }

    /// Runs it for both operations.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (op, want) in [(Op::Create, self.create), (Op::Revoke, self.revoke)] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .map_err(|error| error.to_string())?;
            runtime
                .block_on(self.run(op, want))
                .map_err(|why| format!("{op:?}: {why}"))?;
        }
        Ok(())
    }

    async fn run(&self, op: Op, want: Want) -> Result<(), String> {
        let (transport, seen) = pipe::transport(self.scripts.clone(), op, self.http2);
        let client = ClientBuilder::over(key(), transport)
            .base_url("http://127.0.0.1".parse().unwrap())
            .build()
            .unwrap();
        if self.warm {
            let warmed = call(&client, op).await;
            warmed.map_err(|error| format!("the first call failed: {error:?}"))?;
            seen.requests.store(0, Ordering::SeqCst);
        }
        let begun = Instant::now();
        let calls: Vec<_> = (0..self.calls)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { call(&client, op).await })
            })
            .collect();
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.map_err(|error| error.to_string())?);
        }
        let took = begun.elapsed();
        for result in &results {
            judge(op, want, result, seen.requests.load(Ordering::SeqCst))?;
        }
        if took > CALL {
            Err(format!("took {took:?}"))
        } else {
            Ok(())
        }
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::new("sk_test_MARKER").unwrap()
}

pub(crate) async fn call(client: &Client, op: Op) -> Result<ActorToken, Error> {
    match op {
        Op::Create => {
            client
                .create(CreateActorToken::new("user_1", Actor::new("user_2")))
                .await
        }
        Op::Revoke => {
            client
                .revoke(&ActorTokenId::try_from("act_1").unwrap())
                .await
        }
    }
}

/// Compares what came with what was wanted.
pub(crate) fn judge(
    op: Op,
    (end, requests): Want,
    result: &Result<ActorToken, Error>,
    seen: u32,
) -> Result<(), String> {
    if let Some(leak) = leak(result) {
        return Err(format!("a secret shows: {leak}"));
    }
    let came = match result {
        Ok(_) => End::Token,
        Err(error) => End::Failure(error.outcome()),
    };
    if end == End::Safe {
        // A create that is not refused is sent once at most; what was seen whole was sent.
        let unsafe_end = op == Op::Create && seen > 1
            || came == NS && seen > 0
            || requests > 0 && seen > requests;
        return if unsafe_end {
            Err(format!("{came:?} after {seen} requests"))
        } else {
            Ok(())
        };
    }
    if came != end || seen != requests {
        let shown = result
            .as_ref()
            .map_or_else(|error| format!("{error:?}"), |_| "Ok".into());
        return Err(format!(
            "wanted {end:?} after {requests} requests, got {came:?} after {seen}: {shown}"
        ));
    }
    Ok(())
}

/// The text in which a secret shows, if any does.
fn leak(result: &Result<ActorToken, Error>) -> Option<String> {
    let mut shown = match result {
        Ok(token) => vec![format!("{token:?} {token:#?}")],
        Err(error) => vec![format!("{error} {error:?} {error:#?}")],
    };
    let mut source = result.as_ref().err().and_then(StdError::source);
    while let Some(error) = source {
        shown.push(format!("{error} {error:?} {error:#?}"));
        source = error.source();
    }
    shown.into_iter().find(|text| text.contains(MARKER))
}
