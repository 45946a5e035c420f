//! A row: a script for the peer, and the expected results.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    caller::Caller,
    checks::Check,
    pipe,
    run::{Expected, Run},
    script::{Op, Step},
    transport_kind::TransportKind,
};

/// Long enough to settle every token. The clock is paused.
const DRAIN_LIMIT: Duration = Duration::from_secs(600);

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) over: TransportKind,
    pub(crate) http2: bool,
    /// Makes a successful call first, on the same connection.
    pub(crate) warm: bool,
    /// The number of concurrent calls. All must end in the same way, and their requests are added up.
    pub(crate) calls: usize,
    /// The number of unread bytes that a connection holds.
    pub(crate) pipe: usize,
    pub(crate) caller: Caller,
    /// One script for each connection. Further connections play the last one.
    pub(crate) scripts: Vec<Vec<Step>>,
    pub(crate) create: Expected,
    pub(crate) revoke: Expected,
    /// The result of a revoke over the pooled transport, if it differs.
    pub(crate) pooled_revoke: Option<Expected>,
    pub(crate) also: Vec<Check>,
}

/// A row over HTTP/1.1 with the same script for each connection.
pub(crate) fn row(
    name: impl Into<String>,
    script: Vec<Step>,
    create: Expected,
    revoke: Expected,
) -> Row {
    Row {
        name: name.into(),
        over: TransportKind::default(),
        http2: false,
        warm: false,
        calls: 1,
        pipe: 1 << 20,
        caller: Caller::default(),
        scripts: vec![script],
        create,
        revoke,
        pooled_revoke: None,
        also: Vec::new(),
    }
}

/// The same over HTTP/2.
pub(crate) fn row2(
    name: impl Into<String>,
    script: Vec<Step>,
    create: Expected,
    revoke: Expected,
) -> Row {
    let http2 = [vec![Step::Http2(&[])], script].concat();
    row(name, http2, create, revoke).over_http2()
}

impl Row {
    /// Runs over another transport.
    pub(crate) fn over(mut self, over: TransportKind) -> Self {
        self.over = over;
        self
    }

    /// The client uses HTTP/2 on each connection.
    pub(crate) fn over_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Makes a successful call first. The script must respond to it, and its request is not counted.
    pub(crate) fn after_successful_call(mut self) -> Self {
        self.warm = true;
        self
    }

    /// Makes this many concurrent calls.
    pub(crate) fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// Limits the unread bytes that a connection holds.
    pub(crate) fn pipe(mut self, bytes: usize) -> Self {
        self.pipe = bytes;
        self
    }

    /// Uses other settings than the defaults.
    pub(crate) fn with_caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Sets the result of a revoke over the pooled transport, which replaces an HTTP/2 connection that does not
    /// reply to pings.
    pub(crate) fn pooled_revoke(mut self, expected: Expected) -> Self {
        self.pooled_revoke = Some(expected);
        self
    }

    /// Adds a check.
    pub(crate) fn also(mut self, check: Check) -> Self {
        self.also.push(check);
        self
    }

    /// Adds the script of the next connection.
    pub(crate) fn then(mut self, script: Vec<Step>) -> Self {
        let http2 = if self.http2 {
            vec![Step::Http2(&[])]
        } else {
            vec![]
        };
        self.scripts.push([http2, script].concat());
        self
    }

    /// Runs the row for both operations.
    pub(crate) fn check(&self) -> Result<(), String> {
        let revoke = match self.over {
            TransportKind::Pooled => self.pooled_revoke.unwrap_or(self.revoke),
            TransportKind::Hyper => self.revoke,
        };
        for (op, expected) in [(Op::Create, self.create), (Op::Revoke, revoke)] {
            let run = paused(self.run(op))?.map_err(|why| format!("{op:?}: {why}"))?;
            run.judge(expected)
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
        client.drain(DRAIN_LIMIT).await;
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

/// Runs a future on a new runtime with a paused clock, which advances when all tasks are idle.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}
