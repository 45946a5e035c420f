//! A row: a script for the peer, and what must come of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    caller::Caller,
    checks::Check,
    over::Over,
    pipe,
    run::{Run, Want},
    script::{Op, Step},
};

/// Long enough for everything to be settled; the clock is paused.
const AMPLE: Duration = Duration::from_secs(600);

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) over: Over,
    pub(crate) http2: bool,
    /// Whether a call that goes well comes first, on the same connection.
    pub(crate) warm: bool,
    /// How many calls are made at once; each must end alike, and the requests are those of all.
    pub(crate) calls: usize,
    /// How many bytes a connection holds that nobody has read.
    pub(crate) pipe: usize,
    pub(crate) caller: Caller,
    /// One script a connection; the last one is played for ever.
    pub(crate) scripts: Vec<Vec<Step>>,
    pub(crate) create: Want,
    pub(crate) revoke: Want,
    /// What becomes of a revoke over the pool, if it is something else.
    pub(crate) revoke_over_pool: Option<Want>,
    pub(crate) also: Vec<Check>,
}

/// A row on HTTP/1.1 whose every connection plays the same script.
pub(crate) fn row(name: impl Into<String>, script: Vec<Step>, create: Want, revoke: Want) -> Row {
    Row {
        name: name.into(),
        over: Over::default(),
        http2: false,
        warm: false,
        calls: 1,
        pipe: 1 << 20,
        caller: Caller::default(),
        scripts: vec![script],
        create,
        revoke,
        revoke_over_pool: None,
        also: Vec::new(),
    }
}

/// The same on HTTP/2.
pub(crate) fn row2(name: impl Into<String>, script: Vec<Step>, create: Want, revoke: Want) -> Row {
    let http2 = [vec![Step::Http2(&[])], script].concat();
    row(name, http2, create, revoke).over_http2()
}

impl Row {
    /// Runs over another transport.
    pub(crate) fn over(mut self, over: Over) -> Self {
        self.over = over;
        self
    }

    /// The client takes every connection for one of HTTP/2, whatever the script says.
    pub(crate) fn over_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

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

    /// Connections hold so many bytes only.
    pub(crate) fn pipe(mut self, bytes: usize) -> Self {
        self.pipe = bytes;
        self
    }

    /// Somebody calls who is not content with what a client chooses.
    pub(crate) fn by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Over the pool, which makes another connection where one of HTTP/2 gives no answers, this becomes of
    /// a revoke.
    pub(crate) fn revoked_over_pool(mut self, want: Want) -> Self {
        self.revoke_over_pool = Some(want);
        self
    }

    /// Something else is wanted, too.
    pub(crate) fn also(mut self, check: Check) -> Self {
        self.also.push(check);
        self
    }

    /// Further connections play these scripts in turn.
    pub(crate) fn then(mut self, script: Vec<Step>) -> Self {
        let http2 = if self.http2 {
            vec![Step::Http2(&[])]
        } else {
            vec![]
        };
        self.scripts.push([http2, script].concat());
        self
    }

    /// Runs it for both operations.
    pub(crate) fn check(&self) -> Result<(), String> {
        let revoke = match self.over {
            Over::Pool => self.revoke_over_pool.unwrap_or(self.revoke),
            Over::Client => self.revoke,
        };
        for (op, want) in [(Op::Create, self.create), (Op::Revoke, revoke)] {
            let run = paused(self.run(op))?.map_err(|why| format!("{op:?}: {why}"))?;
            run.judge(want)
                .and_then(|()| self.also.iter().try_for_each(|check| check(&run)))
                .map_err(|why| format!("{op:?}: {why}"))?;
        }
        Ok(())
    }

    async fn run(&self, op: Op) -> Result<Run, String> {
        let scripts = self.scripts.clone();
        let ((transport, log), seen) =
            pipe::transport(self.over, scripts, op, self.http2, self.pipe);
        let client = self.caller.client(transport);
        let caller = Arc::new(self.caller.clone());
        if self.warm {
            let warmed = caller.call(&client, op, 0).await;
            warmed.map_err(|error| format!("the first call failed: {error:?}"))?;
            seen.requests.store(0, Ordering::SeqCst);
        }
        let begun = Instant::now();
        let calls: Vec<_> = (0..self.calls)
            .map(|number| {
                let (client, caller) = (client.clone(), Arc::clone(&caller));
                tokio::spawn(async move { caller.call(&client, op, number).await })
            })
            .collect();
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.map_err(|error| error.to_string())?);
        }
        let took = begun.elapsed();
        client.drain(AMPLE).await;
        Ok(Run {
            op,
            results,
            took,
            deadline: self.caller.call_timeout,
            seen,
            log,
        })
    }
}

/// Runs something on a runtime of its own, whose clock goes on as soon as everybody waits for it.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}
