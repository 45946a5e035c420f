//! Shared by the targets: calls on a paused clock, responses from fuzzed bytes, and the oracles.

pub mod oracle;
pub mod request;
pub mod response;
pub mod transport;

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, Client, CreateActorToken, Error, SecretKey,
};
use tokio::runtime::Runtime;

/// A part of every secret. It must never show.
pub const MARKER: &str = "MARKER";

/// The client's key.
pub const KEY: &str = "sk_test_MARKER0a1B2";

/// The user of every create.
pub const USER_ID: &str = "user_1";

/// The token of every revoke.
pub const TOKEN_ID: &str = "act_1";

/// The client's default.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Revoke,
}

impl Op {
    /// Reads the lowest bit.
    pub fn of(flags: u8) -> Self {
        match flags & 1 {
            0 => Self::Create,
            _ => Self::Revoke,
        }
    }
}

pub fn key() -> SecretKey {
    SecretKey::new(KEY).expect("a valid key")
}

pub async fn call(client: &Client, op: Op) -> Result<ActorToken, Error> {
    match op {
        Op::Create => {
            let create = CreateActorToken::new(USER_ID, Actor::new("user_2"));
            client.create(create).await
        }
        Op::Revoke => {
            let id = ActorTokenId::try_from(TOKEN_ID).expect("a valid id");
            client.revoke(&id).await
        }
    }
}

/// Returns a runtime with a paused clock, which advances when all tasks are idle.
pub fn paused_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O")
}

/// Runs a future on one runtime for all inputs.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        // Leaked, because tasks that are dropped with the thread would panic.
        static RUNTIME: &'static Runtime = Box::leak(Box::new(paused_runtime()));
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Returns a runtime with I/O and the clock of the system.
pub fn io_runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Returns a folder for the files of a target, in memory if there is such a file system.
pub fn workspace() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a folder")
}
