//! [`Gateway`], the service: its parts, and its end.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clerk_actor_tokens::{Client, RotatingKey, server::AcceptedKeys};
use clerk_actor_tokens_policy::{
    AuditLayer, SharedPolicy,
    audit::{Note, SinkUnavailable},
};
use clerk_actor_tokens_store::{POLICY_LOADED, Settings};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    Config, LeaseEnd, Leases, OpenError, Operators,
    config::OnShutdown,
    engines,
    follow::Followers,
    pause::Pause,
    quota::Quota,
    recovery::{self, itself},
    stack::{self, Parts},
    storage::{Storage, StorageError},
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
    pub(crate) storage: Storage,
    pub(crate) leases: Leases,
    pub(crate) parts: Parts,
    /// The version of the policy that another gateway loaded last, while it is not that of this one.
    pub(crate) other_policy: watch::Sender<Option<String>>,
    /// The places of creates over the wire protocol.
    pub(crate) places: Arc<Semaphore>,
    /// Cancelled when the gateway stops: from then on creates are refused.
    pub(crate) stopping: CancellationToken,
    /// The tasks that end with the gateway.
    tasks: Mutex<JoinSet<()>>,
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
        let storage = engines::storage(&config).await?;
        let audit = AuditLayer::with_spool(storage.writer(), engines::spool(&config)?);
        // Entries that an earlier process could not write.
        audit.replay().await?;
        if storage.end_open_calls(config.clerk.call_timeout).await? {
            warn!("a gateway ended within calls");
        }
        // Counts the tokens of calls that were left open, too.
        let settings = storage.settings().await?;
        let closed = settings.quota_closed.clone();
        let parts = Parts {
            key: RotatingKey::new(config.clerk.secret_key()?),
            audit,
            policy: SharedPolicy::new(config.policy.clone()),
            pause: Pause::new(settings.paused.clone()),
            quota: Quota::open(&config.quota, closed, storage.clone()).await?,
            redis: engines::redis(&config).await?,
        };
        let client = stack::client(&config, &parts)?;
        let leases = Leases::new(storage.clone(), client.clone(), parts.audit.clone());
        let gateway = Self {
            shared: Arc::new(Shared {
                client,
                keys: AcceptedKeys::new(),
                operators: Operators::default(),
                storage,
                leases,
                parts,
                other_policy: watch::Sender::default(),
                places: Arc::new(Semaphore::new(config.server.max_calls)),
                stopping: CancellationToken::new(),
                config,
                tasks: Mutex::default(),
            }),
        };
        let config = &gateway.shared.config;
        gateway.replace(config)?;
        gateway.note(Note::new("started")).await?;
        let version = config.policy.version();
        if gateway.is_shared() && settings.policy.as_deref() != Some(version) {
            gateway
                .note(Note::new(POLICY_LOADED).detail(version))
                .await?;
        }
        gateway.start_tasks(settings);
        Ok(gateway)
    }

    /// Starts the tasks that end with the gateway.
    fn start_tasks(&self, settings: Settings) {
        let shared = &self.shared;
        let (storage, leases, config) = (&shared.storage, &shared.leases, &shared.config);
        let mut tasks = shared.tasks();
        let maintained = storage.clone();
        tasks.spawn(async move { maintained.maintain().await });
        tasks.spawn(recovery::clean_up(
            storage.clone(),
            leases.clone(),
            config.clone(),
        ));
        tasks.spawn(recovery::watch(
            storage.clone(),
            leases.clone(),
            config.clone(),
        ));
        if let Some(current) = storage.shared_settings() {
            let followers = Followers {
                pause: shared.parts.pause.clone(),
                quota: shared.parts.quota.clone(),
                policy: shared.parts.policy.clone(),
                other_policy: shared.other_policy.clone(),
            };
            tasks.spawn(followers.follow(settings, current));
        }
    }

    /// Returns whether other gateways may have the same storage.
    fn is_shared(&self) -> bool {
        matches!(self.shared.storage, Storage::Postgres(_))
    }

    /// Returns the version of the policy that another gateway with the same storage loaded last, while it is not that of
    /// this one. A host then reads its configuration again and [reloads](Self::reload) the gateway, if the version
    /// is that one.
    pub fn other_policy(&self) -> watch::Receiver<Option<String>> {
        self.shared.other_policy.subscribe()
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
        self.shared.other_policy.send_replace(None);
        let version = config.policy.version();
        self.note(Note::new(POLICY_LOADED).detail(version)).await?;
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
        // The background tasks end first, so that the ends of their calls are recorded. A task of recovery would
        // otherwise begin again with what is left.
        let mut tasks = mem::take(&mut *shared.tasks());
        if timeout(limit, tasks.shutdown()).await.is_err() {
            error!("a background task does not end");
            is_complete = false;
        }
        let audit = async {
            shared.parts.audit.replay().await?;
            self.note(Note::new("stopped")).await
        };
        if !matches!(timeout(limit, audit).await, Ok(Ok(()))) {
            error!("the audit is not complete");
            is_complete = false;
        }
        let anchored = timeout(limit, shared.storage.anchor()).await;
        if !matches!(anchored, Ok(Ok(_))) {
            error!(?anchored, "could not write an anchor");
            is_complete = false;
        }
        let stopped = timeout(limit, shared.storage.stop(is_complete)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            error!(
                ?stopped,
                "could not end the storage: another gateway takes over"
            );
            is_complete = false;
        }
        Shutdown { is_complete }
    }

    /// Ends the leases as configured for a gateway that ends. Returns whether none failed.
    async fn end_leases(&self) -> Result<bool, StorageError> {
        let Shared {
            leases,
            config,
            storage,
            ..
        } = &*self.shared;
        let live = storage.own_leases().await?;
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
        self.shared.storage.note(note.by(itself("process"))).await
    }
}

impl Shared {
    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}
