//! What the targets share: calls on a paused clock, answers made of fuzzed bytes, and the oracles.

pub mod answer;
pub mod oracle;
pub mod transport;

use std::{cell::RefCell, time::Duration};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, Client, CreateActorToken, Error, SecretKey,
};
use tokio::runtime::Runtime;

/// A part of every secret; it must never show.
pub const MARKER: &str = "MARKER";

/// The client's own key.
pub const KEY: &str = "sk_test_MARKER0a1B2";

/// The user that every create is for.
pub const USER_ID: &str = "user_1";

/// The token that every revoke is about.
pub const TOKEN_ID: &str = "act_1";

/// The longest a call may take, as the client has it by default.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Which of the two operations is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Revoke,
}

impl Op {
    /// By the lowest bit.
    pub fn of(flags: u8) -> Self {
        if flags & 1 == 0 {
            Self::Create
        } else {
            Self::Revoke
        }
    }
}

pub fn key() -> SecretKey {
    SecretKey::new(KEY).expect("it is a key")
}

pub async fn call(client: &Client, op: Op) -> Result<ActorToken, Error> {
    match op {
        Op::Create => {
            let create = CreateActorToken::new(USER_ID, Actor::new("user_2"));
            client.create(create).await
        }
        Op::Revoke => {
            let id = ActorTokenId::try_from(TOKEN_ID).expect("it is an id");
            client.revoke(&id).await
        }
    }
}

/// A runtime whose clock stands still while anything is left to do, and then jumps ahead.
pub fn paused_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can always be built")
}

/// Runs `future`, which spawns nothing, on a runtime that is kept from run to run.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(paused_runtime());
    }
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}
