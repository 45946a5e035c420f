//! [`Gateway`], the service: its parts, its routes, and its end.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use clerk_actor_tokens::{
    Client, ConfigError, InvalidSecretKey, RotatingKey, server::AcceptedKeys,
};
use clerk_actor_tokens_policy::{
    AuditLayer, Principal, SharedPolicy,
    audit::{Asked, SinkUnavailable, Spool},
};
use clerk_actor_tokens_store::{LeftOver, interrupted};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{error, info, warn};

use crate::{
    Config, LeaseEnd, Leases, Metrics, Operators, admin,
    config::{OnShutdown, ReadError},
    console,
    operators::InvalidOperator,
    ops,
    pause::Pause,
    quota::Quota,
    stack::{self, Parts},
    store::{LeaseFilter, LeaseState, Note, Store, StoreError, StoreOptions},
    wire,
};

/// A gateway. Clones share it.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use clerk_actor_tokens_gateway::{Config, Gateway};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = Gateway::open(Config::read("gateway.toml")?).await?;
/// let app = Router::new().route("/", get(async || "support")).merge(gateway.router());
/// axum::serve(TcpListener::bind("127.0.0.1:4020").await?, app).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

/// The parts of a gateway that its routes use.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) keys: AcceptedKeys,
    pub(crate) operators: Operators,
    pub(crate) store: Store,
    pub(crate) leases: Leases,
    pub(crate) parts: Parts,
    /// The places of creates over the wire protocol.
    pub(crate) places: Arc<Semaphore>,
    /// Cancelled when the gateway stops: from then on creates are refused.
    pub(crate) stopping: CancellationToken,
    /// The tasks that end with the gateway.
    _tasks: [AbortOnDropHandle<()>; 2],
}

/// Why a gateway could not be opened or reloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or a variable of the configuration cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The client's configuration is invalid.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// A key of callers could be guessed.
    #[error(transparent)]
    Key(#[from] InvalidSecretKey),
    /// The token of an operator is invalid.
    #[error(transparent)]
    Operator(#[from] InvalidOperator),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database cannot be written.
    #[error("could not record what an earlier process left open")]
    Sink(#[from] SinkUnavailable),
    /// The spool cannot be opened.
    #[error("could not open the spool")]
    Spool(#[source] std::io::Error),
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shutdown {
    /// Whether every lost token was settled, every lease that should end has ended, and the audit is complete.
    pub is_complete: bool,
}

impl Gateway {
    /// Opens the storage, ends what an earlier process left open, and builds the stack.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let options = StoreOptions {
            anchors: config.storage.anchors.clone(),
            anchor_every: config.storage.anchor_every,
            keep: Duration::from_secs(86_400) * config.storage.keep_days,
            ..StoreOptions::new()
        };
        let store = Store::open(&config.storage.database, options)?;
        let spool = match config.storage.spool_ends {
            true => Spool::open(config.storage.spool()).map_err(OpenError::Spool)?,
            false => Spool::in_memory(),
        };
        let audit = AuditLayer::with_spool(store.writer(), spool);
        // Entries that an earlier process could not write.
        audit.replay().await?;
        let left = recover(&store, &config).await?;
        // Counts the tokens of calls that were left open, too.
        let settings = store.settings().await?;
        let quota = Quota::open(&config.quota, settings.quota_closed, store.clone()).await?;
        let parts = Parts {
            key: RotatingKey::new(config.clerk.secret_key()?),
            audit,
            policy: SharedPolicy::new(config.policy.clone()),
            pause: Pause::new(settings.paused),
            quota,
        };
        let client = stack::client(&config, &parts)?;
        let leases = Leases::new(store.clone(), client.clone(), parts.audit.clone());
        let maintenance = store.clone();
        let cleaning = leases.clone();
        let tasks = [
            tokio::spawn(async move { maintenance.maintain().await }),
            tokio::spawn(cleaning.clean_up(left, itself("recovery"))),
        ];
        let shared = Shared {
            client,
            keys: AcceptedKeys::new(),
            operators: Operators::default(),
            store,
            leases,
            parts,
            places: Arc::new(Semaphore::new(config.server.max_calls)),
            stopping: CancellationToken::new(),
            config,
            _tasks: tasks.map(AbortOnDropHandle::new),
        };
        let gateway = Self {
            shared: Arc::new(shared),
        };
        gateway.replace(&gateway.shared.config)?;
        gateway.note(Note::new("started")).await?;
        Ok(gateway)
    }

    /// Returns the routes of callers, the wire protocol, the admin API and the console, to merge into an application. It
    /// has no fallback.
    pub fn router(&self) -> Router {
        wire::router(self)
            .merge(admin::router(self))
            .merge(console::router(self))
    }

    /// Returns the [routes of callers](Self::router) as a whole application: any other path responds with a 404
    /// that says what is served.
    pub fn app(&self) -> Router {
        wire::with_fallback(self.router())
    }

    /// Returns the routes of the host: `/livez`, `/readyz`, and with `metrics` also `/metrics`. Serve them where
    /// only the host and its monitoring can reach them.
    pub fn ops_router(&self, metrics: Option<Metrics>) -> Router {
        ops::router(self, metrics)
    }

    /// Sets the gauges of the gateway. `/metrics` does so at each scrape.
    pub async fn measure(&self) {
        ops::measure(&self.shared).await;
    }

    /// Returns the leases.
    pub fn leases(&self) -> &Leases {
        &self.shared.leases
    }

    /// Puts a new configuration in place: the policy, the keys of callers, the operators, and the secret key.
    /// The other parts change with a restart.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read, or a value is invalid. The secret key and the policy are then as before.
    pub async fn reload(&self, config: &Config) -> Result<(), OpenError> {
        let key = config.clerk.secret_key()?;
        self.replace(config)?;
        self.shared.parts.key.replace(key);
        self.shared.parts.policy.replace(config.policy.clone());
        let version = config.policy.version().to_owned();
        self.note(Note::new("policy_loaded").detail(version))
            .await?;
        Ok(())
    }

    /// Puts the keys of callers and the operators in place.
    fn replace(&self, config: &Config) -> Result<(), OpenError> {
        let keys = config.accepted_keys()?;
        self.shared.operators.replace(&config.operators)?;
        self.shared.keys.replace(keys)?;
        Ok(())
    }

    /// Refuses further creates, so that the gateway can end. Revokes pass.
    pub fn stop_creates(&self) {
        self.shared.stopping.cancel();
    }

    /// Ends the gateway, once no request is in flight: settles lost tokens, ends leases as configured, and
    /// completes the audit. Each step takes at most `limit`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest to the next process, which finds it in the audit.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        self.stop_creates();
        let shared = &self.shared;
        let drained = shared.client.drain(limit).await;
        let counts = drained.counts();
        info!(
            settled = counts.total(),
            cut_short = drained.cut_short(),
            "settled lost tokens"
        );
        let mut is_complete = drained.is_complete();
        is_complete &= match timeout(limit, self.end_leases()).await {
            Ok(Ok(is_complete)) => is_complete,
            Ok(Err(error)) => {
                error!(%error, "could not read the leases");
                false
            }
            Err(_) => {
                error!("ending the leases took too long");
                false
            }
        };
        let audit = async {
            shared.parts.audit.replay().await?;
            self.note(Note::new("stopped")).await
        };
        if !matches!(timeout(limit, audit).await, Ok(Ok(()))) {
            error!("the audit is not complete");
            is_complete = false;
        }
        let anchored = timeout(limit, shared.store.anchor()).await;
        if !matches!(anchored, Ok(Ok(_))) {
            error!(?anchored, "could not write an anchor");
            is_complete = false;
        }
        Shutdown { is_complete }
    }

    /// Ends the leases as configured for a gateway that ends. Returns whether none failed.
    async fn end_leases(&self) -> Result<bool, StoreError> {
        let Shared { leases, config, .. } = &*self.shared;
        let live = leases.list(LeaseFilter::live()).await?;
        // The audit has reported those of an unknown id, and nothing can revoke them.
        let (known, unknown): (Vec<_>, Vec<_>) = live
            .into_iter()
            .partition(|lease| lease.actor_token_id.is_some());
        if !unknown.is_empty() {
            warn!(
                leases = unknown.len(),
                "tokens of an unknown id may be live"
            );
        }
        if config.leases.on_shutdown == OnShutdown::Keep {
            info!(leases = known.len(), "live leases are kept");
            return Ok(true);
        }
        let ended = leases
            .end_all(known, config.leases.end_sessions, &itself("shutdown"))
            .await;
        let failed = ended.iter().filter(|it| it.end == LeaseEnd::Failed).count();
        info!(ended = ended.len() - failed, failed, "ended the leases");
        Ok(failed == 0)
    }

    async fn note(&self, note: Note) -> Result<(), SinkUnavailable> {
        self.shared.store.note(note.by(itself("process"))).await
    }
}

/// The principal of calls that the gateway itself makes.
fn itself(via: &str) -> Principal {
    Principal::new("gateway").via(via)
}

/// Ends the calls that an earlier process left open, and returns the tokens that it left live.
async fn recover(store: &Store, config: &Config) -> Result<LeftOver, OpenError> {
    let open = store.open_calls().await?;
    let mut left = LeftOver::default();
    let mut ends = Vec::new();
    for call in open {
        ends.push(interrupted(&call, config.clerk.call_timeout));
        if let Asked::Revoke { actor_token_id } = call.begin.asked {
            left.revokes.push(actor_token_id);
        }
    }
    if !ends.is_empty() {
        warn!(calls = ends.len(), "an earlier process ended within calls");
    }
    store.write(ends).await?;
    let leases = store.leases(LeaseFilter::live()).await?;
    left.leases.extend(leases.into_iter().filter(|lease| {
        let is_to_end = match lease.state {
            LeaseState::Returned => config.leases.on_shutdown == OnShutdown::Revoke,
            state => state == LeaseState::Lost,
        };
        is_to_end && lease.actor_token_id.is_some()
    }));
    Ok(left)
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}
