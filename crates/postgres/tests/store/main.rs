//! The store shows what follows from the entries of all instances, notices when a record was altered, and deletes old
//! ones.

mod export;
mod left_over;
mod model;
mod prune;
mod reads;
#[path = "../support/mod.rs"]
mod support;
mod verify;

use std::time::{Duration, SystemTime};

use clerk_actor_tokens::{ActorTokenId, Outcome};
use clerk_actor_tokens_policy::audit::{End, Entry};
use support::{effect, id};

const HOUR: Duration = Duration::from_secs(3600);

fn returned_until(token: &str, expires_at: SystemTime) -> End {
    End::Returned {
        actor_token_id: id(token),
        expires_at: Some(expires_at),
    }
}

fn rejected(error: &'static str, status: u16) -> End {
    End::Failed {
        error: error.into(),
        status: Some(status),
        code: None,
        trace_id: None,
        effect: effect(Outcome::Rejected),
    }
}

/// Returns the end of a create that was cancelled and minted a token of this id, if it is known.
fn cancelled(outcome: Outcome, actor_token_id: Option<ActorTokenId>) -> End {
    let mut effect = effect(outcome);
    effect.actor_token_id = actor_token_id;
    End::Cancelled(effect)
}

/// Returns the entries as if they were two hours old.
fn old(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    let aged = entries.into_iter().map(|mut entry| {
        entry.at = SystemTime::now() - 2 * HOUR;
        entry
    });
    aged.collect()
}
