//! [`RedisGate`], a gate in Redis.

mod view;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clerk_actor_tokens_policy::{
    Gate, MemoryGate, StoreUnavailable,
    gate::{Pass, Scope},
};
use redis::{Script, ScriptInvocation};
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use self::view::{LONGEST_CLOSE, Message, Numbers, Pace, Reply, Seen, Unsent, View};
use crate::{
    connection::{Redis, Shared},
    telemetry::{self, Command},
    time::{micros, micros_up},
};

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("state.lua"), include_str!($file))))
    };
}

static PASS: LazyLock<Script> = script!("pass.lua");
static READ: LazyLock<Script> = script!("read.lua");
static CLOSE: LazyLock<Script> = script!("close.lua");

/// The time between attempts to send a close that Redis did not take.
const RETRY: Duration = Duration::from_millis(100);

/// A gate in Redis, so that processes share it. It closes and opens as [`MemoryGate`] does.
///
/// Each process keeps what it has seen of a gate, and learns of a close by a message. An attempt costs no command
/// while the gate is open, and one command for its slot while it is closed.
///
/// No attempt leaves the process that closed the gate before the gate opens again. The other processes learn of it as
/// soon as Redis has it. If Redis loses the state, the first process that asks restores it.
///
/// # Without Redis
///
/// Each process has a gate in memory, which closes whenever this one does. Its slots are further apart, by the number
/// of replicas. Processes that cannot reach Redis do not learn of each other's closes, so that each of them may
/// send one attempt that meets the 429 again. Its own closes are sent when Redis responds again. The trait's error is
/// never returned.
#[derive(Clone)]
pub struct RedisGate {
    redis: Redis,
    state: Arc<State>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl RedisGate {
    /// Creates a gate whose first step is 100 ms. All processes need the same step and ramp.
    #[must_use]
    pub fn new(redis: &Redis) -> Self {
        Self::with_pace(redis, Duration::from_millis(100), Duration::from_secs(1))
    }

    /// Creates a gate with the [step](MemoryGate::step), at most a minute, and the [ramp](MemoryGate::ramp), at most
    /// an hour, of a gate in memory.
    #[must_use]
    pub fn with_pace(redis: &Redis, step: Duration, ramp: Duration) -> Self {
        let pace = Pace::new(step, ramp);
        let replicas = redis.shared().replicas.get();
        let local = MemoryGate::new().ramp(pace.ramp);
        let state = Arc::new(State {
            shared: Arc::clone(redis.shared()),
            replica: format!("{:016x}", fastrand::u64(..)),
            local: local.step(pace.step.saturating_mul(replicas)),
            pace,
            views: Mutex::default(),
            has_unsent: Notify::new(),
        });
        let task = redis.runtime().spawn(Arc::clone(&state).keep_in_step());
        Self {
            redis: redis.clone(),
            state,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }
}

impl Gate for RedisGate {
    async fn pass(&self, scope: &Scope, patience: Duration) -> Result<Pass, StoreUnavailable> {
        let state = &self.state;
        if let Some(epoch) = state.open_epoch(scope) {
            return Ok(Pass::Go { epoch });
        }
        // Once more if the gate closed meanwhile, because the slot is one of the earlier close.
        for _ in 0..2 {
            let Some((link, script)) = state.pass_script(scope, patience) else {
                break;
            };
            let Ok(numbers) = state.shared.run::<Numbers>(Command::Pass, script).await else {
                break;
            };
            if let Some(pass) = state.accept(scope, link, numbers.into(), patience) {
                return Ok(pass);
            }
        }
        state.pass_locally(scope, patience).await
    }

    fn epoch(&self, scope: &Scope) -> u64 {
        self.state.views().get(scope).map_or(0, |view| view.epoch)
    }

    fn close(&self, scope: &Scope, epoch: u64, retry_after: Option<Duration>) {
        let state = &self.state;
        let retry_after = retry_after.unwrap_or(state.pace.ramp).min(LONGEST_CLOSE);
        let mut views = state.views();
        let view = state.view(&mut views, scope);
        let is_current = view.epoch == epoch;
        if view.close(is_current, retry_after) {
            state.close_locally(scope, is_current, retry_after);
            telemetry::gate_closed(scope.kind, "here", view.level, retry_after);
            state.has_unsent.notify_one();
        }
    }
}

impl fmt::Debug for RedisGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisGate")
            .field("redis", &self.redis)
            .field("pace", &self.state.pace)
            .finish_non_exhaustive()
    }
}

/// The state that the gate and its task share.
struct State {
    shared: Arc<Shared>,
    /// The name of this gate in messages.
    replica: String,
    /// Decides without Redis.
    local: MemoryGate,
    pace: Pace,
    views: Mutex<HashMap<Scope, View>>,
    has_unsent: Notify,
}

impl State {
    /// Locks the views, which are valid whenever a panic could happen.
    fn views(&self) -> MutexGuard<'_, HashMap<Scope, View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the view of a scope, which is opened if its ramp is over.
    fn view<'a>(&self, views: &'a mut HashMap<Scope, View>, scope: &Scope) -> &'a mut View {
        if !views.contains_key(scope) {
            let view = View::new(self.shared.keys.scope(scope));
            views.insert(scope.clone(), view);
        }
        let view = views.get_mut(scope).expect("it was inserted");
        if view.open(&self.pace) {
            telemetry::gate_opened(scope.kind);
        }
        view
    }

    /// Returns the number of the connection, if there is one.
    fn link(&self) -> Option<u64> {
        self.shared.link.borrow().as_ref().map(|link| link.number)
    }

    /// Returns the epoch of a gate that is known to be open.
    fn open_epoch(&self, scope: &Scope) -> Option<u64> {
        let link = self.link()?;
        let mut views = self.views();
        let view = self.view(&mut views, scope);
        (view.until.is_none() && view.read_on == Some(link)).then_some(view.epoch)
    }

    /// Returns the script that takes a slot, and the connection it is for. Returns `None` if there is no connection,
    /// or if Redis has to learn of a close first.
    fn pass_script(
        &self,
        scope: &Scope,
        patience: Duration,
    ) -> Option<(u64, ScriptInvocation<'static>)> {
        let link = self.link()?;
        let mut views = self.views();
        let view = self.view(&mut views, scope);
        if view.unsent.is_some() {
            return None;
        }
        let mut script = self.invocation(&PASS, view, view.level, view.until_in());
        script.arg(micros(patience));
        Some((link, script))
    }

    /// Returns a script with the arguments of all. Level and time are restored if Redis lost them.
    fn invocation(
        &self,
        script: &'static Script,
        view: &View,
        level: u32,
        until_in: Option<i64>,
    ) -> ScriptInvocation<'static> {
        let mut script = script.prepare_invoke();
        script.key(self.shared.keys.gate(&view.name));
        script
            .arg(micros_up(self.pace.step))
            .arg(micros_up(self.pace.ramp));
        script.arg(view.remote).arg(level);
        script
            .arg(u8::from(until_in.is_some()))
            .arg(until_in.unwrap_or(0));
        script
    }

    /// Learns of the state that a script returned, and returns the slot. Returns `None` if the gate closed here
    /// meanwhile.
    fn accept(&self, scope: &Scope, link: u64, reply: Reply, patience: Duration) -> Option<Pass> {
        let mut views = self.views();
        let view = self.view(&mut views, scope);
        view.read_on = Some(link);
        let is_older = reply.seen.epoch < view.remote;
        self.learn(scope, view, reply.seen);
        if is_older || view.unsent.is_some() {
            return None;
        }
        let epoch = view.epoch;
        // The response took some time, so this process may know a slightly later end.
        let slot = reply.slot.max(view.left());
        Some(match slot {
            Duration::ZERO => Pass::Go { epoch },
            _ if !reply.is_granted || slot > patience => Pass::No { retry_after: slot },
            _ => Pass::Wait { epoch, slot },
        })
    }

    /// Learns of a close, and closes the local gate as well.
    fn learn(&self, scope: &Scope, view: &mut View, seen: Seen) {
        let was_closed = view.until.is_some();
        if let Some(learned) = view.learn(seen) {
            self.close_locally(scope, learned.is_raised, learned.left);
            telemetry::gate_closed(scope.kind, "elsewhere", view.level, learned.left);
        } else if was_closed && view.until.is_none() {
            telemetry::gate_opened(scope.kind);
        }
    }

    async fn pass_locally(
        &self,
        scope: &Scope,
        patience: Duration,
    ) -> Result<Pass, StoreUnavailable> {
        let epoch = self.view(&mut self.views(), scope).epoch;
        let pass = match self.local.pass(scope, patience).await? {
            Pass::Go { .. } => Pass::Go { epoch },
            Pass::Wait { slot, .. } => Pass::Wait { epoch, slot },
            refused @ Pass::No { .. } => refused,
        };
        let decision = match pass {
            Pass::Go { .. } => "passed",
            Pass::Wait { .. } => "waits",
            Pass::No { .. } => "refused",
        };
        telemetry::local("gate", decision);
        Ok(pass)
    }

    fn close_locally(&self, scope: &Scope, is_raised: bool, left: Duration) {
        let epoch = self.local.epoch(scope);
        let epoch = if is_raised {
            epoch
        } else {
            epoch.wrapping_sub(1)
        };
        self.local.close(scope, epoch, Some(left));
    }

    /// Learns of closes, and sends those of this process.
    async fn keep_in_step(self: Arc<Self>) {
        let mut messages = self.shared.messages.subscribe();
        let mut link = self.shared.link.subscribe();
        loop {
            let is_in_step = self.synchronise().await;
            tokio::select! {
                () = self.has_unsent.notified() => {}
                changed = link.changed() => if changed.is_err() { return },
                message = messages.recv() => match message {
                    Ok(message) => self.on_message(&message),
                    Err(RecvError::Lagged(_)) => self.forget_reads(),
                    Err(RecvError::Closed) => return,
                },
                () = sleep(RETRY), if !is_in_step => {}
            }
        }
    }

    /// Sends the closes that Redis does not have, and reads the gates whose messages may have been missed. Returns
    /// whether nothing is left to do until the next event.
    async fn synchronise(&self) -> bool {
        let Some(link) = self.link() else {
            // The next connection is an event.
            return true;
        };
        let scopes: Vec<_> = self.views().keys().cloned().collect();
        let mut is_in_step = true;
        for scope in scopes {
            let Some((command, script, sent)) = self.next_command(&scope, link) else {
                continue;
            };
            let Ok(numbers) = self.shared.run::<Numbers>(command, script).await else {
                is_in_step = false;
                continue;
            };
            let seen = Reply::from(numbers).seen;
            let mut views = self.views();
            let view = self.view(&mut views, &scope);
            view.read_on = Some(link);
            if sent.is_some() {
                // It is this process' own close, and was counted.
                view.learn(seen);
                if view.unsent == sent {
                    view.unsent = None;
                } else {
                    is_in_step = false;
                }
            } else {
                self.learn(&scope, view, seen);
            }
        }
        is_in_step
    }

    fn next_command(
        &self,
        scope: &Scope,
        link: u64,
    ) -> Option<(Command, ScriptInvocation<'static>, Option<Unsent>)> {
        let mut views = self.views();
        let view = self.view(&mut views, scope);
        let Some(unsent) = view.unsent else {
            let script = || self.invocation(&READ, view, view.level, view.until_in());
            return (view.read_on != Some(link)).then(|| (Command::Read, script(), None));
        };
        // The script itself raises the level and sets the time.
        let level = view.level - u32::from(unsent.epoch.is_some() && view.level > 0);
        let mut script = self.invocation(&CLOSE, view, level, None);
        let left = unsent.until.saturating_duration_since(Instant::now());
        let current = unsent
            .epoch
            .map_or(-1, |epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
        script.arg(current).arg(micros_up(left));
        script
            .arg(self.shared.keys.channel())
            .arg(&self.replica)
            .arg(&view.name);
        Some((Command::Close, script, Some(unsent)))
    }

    fn on_message(&self, text: &str) {
        let Some(message) = Message::parse(text, &self.replica) else {
            return;
        };
        let mut views = self.views();
        let known = views.iter().find(|(_, view)| view.name == message.scope);
        let Some(scope) = known.map(|(scope, _)| scope.clone()) else {
            // It is read when the first attempt asks for it.
            return;
        };
        let view = self.view(&mut views, &scope);
        self.learn(&scope, view, message.seen);
    }

    /// Causes all gates to be read again, because messages were missed.
    fn forget_reads(&self) {
        for view in self.views().values_mut() {
            view.read_on = None;
        }
    }
}
