//! The storage keeps every entry, shows what follows from it, and notices when a record was altered.

mod chain;
mod export;
mod failures;
mod model;
mod projections;
mod prune;
mod reads;
mod recovery;
mod replay;
mod throughput;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clerk_actor_tokens::{Actor, ActorTokenId, ActorTokenRequest, CreateActorToken, Outcome};
use clerk_actor_tokens_gateway::{
    config::Anchors,
    store::{
        Lease, LeaseFilter, LeaseState, Store, StoreError, StoreOptions, Tampered, Verified,
        VerifyError,
    },
};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Begin, Effect, End, Entry, Event, FollowUp},
};
use rusqlite::Connection;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

/// A store in a folder that is removed at the end. Its anchors are in a file beside it.
struct Setup {
    folder: TempDir,
    store: Store,
}

impl Setup {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new();
        options.anchors = Anchors::File(folder.path().join("anchors.jsonl"));
        change(&mut options);
        let store = Store::open(&folder.path().join("audit.sqlite"), options).unwrap();
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.sqlite")
    }

    fn anchors(&self) -> PathBuf {
        self.folder.path().join("anchors.jsonl")
    }

    async fn write(&self, entries: impl Into<Vec<Entry>>) {
        self.store.write(entries.into()).await.unwrap();
    }

    /// Returns the only lease, if there is one.
    async fn lease(&self) -> Option<Lease> {
        let mut leases = self.store.leases(LeaseFilter::default()).await.unwrap();
        assert!(leases.len() < 2, "{leases:?}");
        leases.pop()
    }

    async fn state(&self) -> Option<LeaseState> {
        self.lease().await.map(|lease| lease.state)
    }

    /// Returns another connection, as of a person who changes the database by hand.
    fn by_hand(&self) -> Connection {
        by_hand(&self.path())
    }
}

fn by_hand(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

/// The entries of one call.
#[derive(Clone, Copy)]
struct Call(CallId);

impl Call {
    fn new() -> Self {
        Self(CallId::create())
    }

    fn at(self, at: SystemTime, event: Event) -> Entry {
        let mut entry = Entry::new(self.0, event);
        entry.at = at;
        entry
    }

    fn create(self) -> Entry {
        self.begin(&create())
    }

    fn revoke(self, id: &str) -> Entry {
        self.begin(&ActorTokenRequest::revoke(id.parse().unwrap()))
    }

    fn begin(self, request: &ActorTokenRequest) -> Entry {
        Entry::new(self.0, Event::Begin(Begin::of(request)))
    }

    fn sending(self) -> Entry {
        Entry::new(self.0, Event::Sending)
    }

    fn end(self, end: End) -> Entry {
        Entry::new(self.0, Event::End(end))
    }

    fn follow_up(self, event: FollowUp) -> Entry {
        Entry::new(self.0, Event::FollowUp(event))
    }

    /// Returns the entries of a create that returned a token.
    fn returned(self, id: &str) -> [Entry; 3] {
        [self.create(), self.sending(), self.end(returned(id))]
    }

    /// Returns the entries of a revoke that succeeded.
    fn revoked(self, id: &str) -> [Entry; 3] {
        [self.revoke(id), self.sending(), self.end(returned(id))]
    }
}

fn create() -> ActorTokenRequest {
    CreateActorToken::new("user_subject", Actor::new("user_admin")).into()
}

/// A time to which milliseconds are enough.
fn in_an_hour() -> SystemTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UNIX_EPOCH + Duration::from_secs(now.as_secs()) + HOUR
}

fn id(id: &str) -> ActorTokenId {
    id.parse().unwrap()
}

fn returned(token: &str) -> End {
    End::Returned {
        actor_token_id: id(token),
        expires_at: Some(in_an_hour()),
    }
}

fn effect(outcome: Outcome) -> Effect {
    let mut effect = Effect::new(outcome);
    effect.attempts = 1;
    if matches!(outcome, Outcome::Unknown | Outcome::Applied) {
        effect.exposed_until = Some(in_an_hour());
    }
    effect
}

fn failed(kind: &'static str, outcome: Outcome) -> End {
    End::Failed {
        error: kind.into(),
        status: Some(500),
        code: Some("internal_clerk_error".into()),
        trace_id: None,
        effect: effect(outcome),
    }
}

fn settled(word: &'static str, token: Option<&str>) -> FollowUp {
    FollowUp::Settled {
        settled: word.into(),
        actor_token_id: token.map(id),
        exposed_until: Some(in_an_hour()),
    }
}

/// Returns how the audit was altered.
fn tampered(verified: Result<Verified, VerifyError<StoreError>>) -> Tampered {
    match verified {
        Err(VerifyError::Tampered(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Returns the entries as if they were two hours old.
fn old(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let aged = entries.into_iter().map(|mut entry| {
        entry.at = SystemTime::now() - 2 * HOUR;
        entry
    });
    aged.collect()
}

/// A create whose token and session are over.
fn expired() -> Vec<Entry> {
    let call = Call::new();
    let end = End::Returned {
        actor_token_id: id("act_1"),
        expires_at: Some(SystemTime::now() - HOUR),
    };
    old([call.create(), call.sending(), call.end(end)])
}
