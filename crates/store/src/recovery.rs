//! What a process left that ended without notice.

use std::time::Duration;

use clerk_actor_tokens::{ActorTokenId, Outcome};
use clerk_actor_tokens_policy::audit::{Asked, Effect, End, Entry, Event};

use crate::{Lease, OpenCall};

/// The lifetime that the API gives a token whose request does not set it.
const API_LIFETIME: Duration = Duration::from_secs(3600);

/// How much later than the call's timeout a request may reach the API.
const MARGIN: Duration = Duration::from_secs(60);

/// What a process left that ended without notice.
#[derive(Clone, Debug, Default)]
pub struct LeftOver {
    /// The tokens of revokes that may not have reached the API.
    pub revokes: Vec<ActorTokenId>,
    /// The live tokens of a known id that are to be revoked.
    pub leases: Vec<Lease>,
}

/// Returns the end of a call whose process ended without notice.
///
/// Without the mark that it was about to be sent, nothing was sent. A create that was about to be sent is unknown,
/// and its token may be live until the mark, the call's timeout, a margin of 60 s and the lifetime have passed.
pub fn interrupted(open: &OpenCall, call_timeout: Duration) -> Entry {
    let effect = match (open.sending_at, &open.begin.asked) {
        (None, _) => Effect::new(Outcome::NotSent),
        (Some(sending), Asked::Create { lifetime, .. }) => {
            let lifetime = lifetime.unwrap_or(API_LIFETIME);
            let mut effect = Effect::new(Outcome::Unknown);
            effect.exposed_until = Some(sending + call_timeout + MARGIN + lifetime);
            effect
        }
        (Some(_), _) => Effect::new(Outcome::Unknown),
    };
    Entry::new(open.call, Event::End(End::Interrupted(effect)))
}
