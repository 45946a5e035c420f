//! [`Redis`], a connection with a breaker.
//!
//! The breaker is whether there is a connection: failures close it, and a background task connects again. Commands
//! never wait for that. redis' own `ConnectionManager` cannot do this, because its commands wait while it connects,
//! and it keeps a connection on which no response arrives.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, PushInfo, PushKind, RedisError,
    ScriptInvocation,
    aio::{MultiplexedConnection, SendError},
};
use tokio::{
    runtime::Handle,
    sync::{broadcast, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    key::Keys,
    telemetry::{self, Cause, Command},
};

/// How many commands fail in a row until the connection is closed.
const MAX_FAILURES: u32 = 3;

/// Limits the time to connect, which no call waits for.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The delays between attempts to connect, which double.
const SHORTEST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(800);

/// The time between commands that show that the connection still works.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Commands that may wait to be written, and messages that may wait to be read.
const QUEUE: usize = 1024;

/// A connection to Redis, which several stores share. All clones are the same connection.
///
/// After three failed commands in a row, or when the connection is lost, it is closed, and stores decide without
/// Redis. A background task connects again until Redis takes a write in time. It ends with the last clone.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    runtime: Handle,
    _task: AbortOnDropHandle<()>,
}

impl Redis {
    /// Must be called in a runtime.
    pub(crate) fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let task = tokio::spawn(Arc::clone(&shared).keep_connected());
        let inner = Inner {
            shared,
            runtime: Handle::current(),
            _task: AbortOnDropHandle::new(task),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns whether decisions are shared at the moment.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared().link.borrow().is_some()
    }

    /// Waits until decisions are shared. A host may do so before its first call, which is decided in the process
    /// otherwise.
    pub async fn available(&self) {
        let mut link = self.shared().link.subscribe();
        // The sender is not dropped while `self` is borrowed.
        _ = link.wait_for(Option::is_some).await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Returns the runtime of the connection.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("is_available", &self.is_available())
            .finish_non_exhaustive()
    }
}

/// No decision of Redis.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The connection and its surroundings, without the task that keeps it.
pub(crate) struct Shared {
    client: Client,
    pub(crate) keys: Keys,
    command_limit: Duration,
    pub(crate) replicas: NonZeroU32,
    pub(crate) link: watch::Sender<Option<Link>>,
    /// Payloads of the channel on which gates close.
    pub(crate) messages: broadcast::Sender<String>,
}

/// A connection that works.
#[derive(Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// Identifies the connection.
    pub(crate) number: u64,
    /// The commands that failed since the last one that did not.
    failures: Arc<Mutex<u32>>,
}

/// Why Redis did not respond as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("Redis did not respond in time")]
    Timeout,
    #[error("Redis failed")]
    Redis(#[from] RedisError),
}

impl Failure {
    fn cause(&self) -> Cause {
        match self {
            Self::Timeout => Cause::Timeout,
            Self::Redis(error) if error.is_unrecoverable_error() => Cause::ConnectionLost,
            Self::Redis(_) => Cause::Error,
        }
    }

    /// Returns a code for events. The text of the server may be anything, its code is one word.
    fn code(&self) -> &str {
        match self {
            Self::Timeout => "timeout",
            Self::Redis(error) => error.code().unwrap_or(error.category()),
        }
    }
}

impl Shared {
    pub(crate) fn new(
        client: Client,
        keys: Keys,
        command_limit: Duration,
        replicas: NonZeroU32,
    ) -> Self {
        Self {
            client,
            keys,
            command_limit,
            replicas,
            link: watch::Sender::new(None),
            messages: broadcast::Sender::new(QUEUE),
        }
    }

    /// Runs a script, in time or not at all.
    pub(crate) async fn run<T: FromRedisValue + Send>(
        &self,
        command: Command,
        script: ScriptInvocation<'static>,
    ) -> Result<T, Unavailable> {
        let run = |mut connection| async move { script.invoke_async(&mut connection).await };
        self.command(command, run).await
    }

    async fn command<T, F>(
        &self,
        command: Command,
        run: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        let link = self.link.borrow().clone().ok_or(Unavailable)?;
        let begun = Instant::now();
        let result = timeout(self.command_limit, run(link.connection)).await;
        let result = result.map_or(Err(Failure::Timeout), |it| it.map_err(Failure::from));
        let cause = result.as_ref().err().map(Failure::cause);
        telemetry::command(command, cause, begun.elapsed());
        let failures = {
            let mut failures = link.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures = cause.map_or(0, |_| *failures + 1);
            *failures
        };
        if let Some(cause) = cause
            && (failures >= MAX_FAILURES || cause == Cause::ConnectionLost)
        {
            self.disconnect(link.number, cause);
        }
        result.map_err(|_| Unavailable)
    }

    /// Closes a connection, unless another one has replaced it.
    fn disconnect(&self, number: u64, cause: Cause) {
        // The connection is dropped after the lock of the channel is released.
        let mut closed = None;
        self.link.send_if_modified(|link| {
            closed = link.take_if(|link| link.number == number);
            closed.is_some()
        });
        if closed.is_some() {
            telemetry::disconnected(cause);
        }
    }

    /// Connects, and returns a connection on which Redis takes writes and messages in time.
    pub(crate) async fn connect(
        &self,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push| -> Result<(), SendError> {
                on_push(push);
                Ok(())
            });
        let connected = timeout(CONNECT_LIMIT, async {
            let connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config);
            let mut connection = connection.await?;
            connection.subscribe(self.keys.channel()).await?;
            Ok::<_, RedisError>(connection)
        });
        let mut connection = connected.await.map_err(|_| Failure::Timeout)??;
        let mut probe = redis::pipe();
        let second = ["1", "PX", "1000"];
        probe.cmd("SET").arg(self.keys.probe()).arg(&second);
        probe.cmd("PUBLISH").arg(self.keys.channel()).arg("");
        let probed = timeout(self.command_limit, probe.exec_async(&mut connection));
        probed.await.map_err(|_| Failure::Timeout)??;
        Ok(connection)
    }

    /// Connects whenever there is no connection.
    async fn keep_connected(self: Arc<Self>) {
        let mut delay = SHORTEST_DELAY;
        for number in 1.. {
            let shared = Arc::downgrade(&self);
            let on_push = move |push: PushInfo| {
                if let Some(shared) = shared.upgrade() {
                    shared.on_push(number, push);
                }
            };
            let begun = Instant::now();
            let connected = self.connect(on_push).await;
            let cause = connected.as_ref().err().map(Failure::cause);
            telemetry::command(Command::Connect, cause, begun.elapsed());
            match connected {
                Ok(connection) => {
                    let link = Link {
                        connection,
                        number,
                        failures: Arc::default(),
                    };
                    self.link.send_replace(Some(link));
                    telemetry::connected();
                    let connected = Instant::now();
                    self.watch(number).await;
                    // A server that responds to heartbeats alone is not asked again at once.
                    if connected.elapsed() > LONGEST_DELAY {
                        delay = SHORTEST_DELAY;
                    }
                }
                Err(failure) => telemetry::not_connected(failure.code(), number == 1),
            }
            sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// Sends heartbeats until the connection is closed.
    async fn watch(&self, number: u64) {
        let mut link = self.link.subscribe();
        let is_closed = |link: &Option<Link>| link.as_ref().is_none_or(|it| it.number != number);
        while timeout(HEARTBEAT, link.wait_for(is_closed)).await.is_err() {
            let ping = redis::cmd("PING");
            let ping = |mut connection| async move { ping.exec_async(&mut connection).await };
            _ = self.command(Command::Ping, ping).await;
        }
    }

    /// Handles what Redis sends by itself. It must not block.
    fn on_push(&self, number: u64, push: PushInfo) {
        match (push.kind, push.data.last()) {
            (PushKind::Disconnection, _) => self.disconnect(number, Cause::ConnectionLost),
            (PushKind::Message, Some(payload)) => {
                if let Ok(payload) = redis::from_redis_value_ref(payload) {
                    // Without a gate there is no receiver.
                    _ = self.messages.send(payload);
                }
            }
            _ => {}
        }
    }
}
