//! [`Sessions`], the operators who are signed in to the console.
//!
//! A session is in memory and is found by the SHA-256 of its cookie, so that neither memory nor a log has
//! the cookie. It ends when it is idle, when it is old, when its operator is removed or gets another token,
//! and when its operator loses a role. It belongs to one gateway: with several of them, a load balancer keeps an
//! operator at one.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clerk_actor_tokens::BoxError;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{Operator, Operators, Role, config::ConsoleConfig};

/// The most sessions of an operator. One more ends the session that was idle for longest.
const MAX_SESSIONS: usize = 8;
/// The most forms of a session that can be sent. One more makes the oldest form invalid.
const MAX_FORMS: usize = 64;

type Hash = [u8; 32];

/// The operators who are signed in.
pub(super) struct Sessions {
    config: ConsoleConfig,
    sessions: Mutex<HashMap<Hash, Session>>,
}

struct Session {
    /// The hash of the operator's token.
    token: Hash,
    roles: Vec<Role>,
    began: Instant,
    seen: Instant,
    /// The ids of the forms that can be sent, the oldest first.
    forms: VecDeque<String>,
    notice: Option<Notice>,
}

/// The result of the last form, which the next page shows.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) is_problem: bool,
    pub(super) text: String,
}

/// The hash of a session's cookie.
#[derive(Clone, Copy)]
pub(super) struct SessionKey(Hash);

impl Sessions {
    pub(super) fn new(config: ConsoleConfig) -> Self {
        let sessions = Mutex::default();
        Self { config, sessions }
    }

    /// Begins a session of the operator with this token, and returns its cookie.
    pub(super) fn begin(&self, token: &str, operator: &Operator) -> Result<String, BoxError> {
        let cookie = random()?;
        let (token, now) = (hash(token), Instant::now());
        let mut sessions = self.live();
        let own = sessions.iter().filter(|(_, it)| it.token == token);
        let mut own: Vec<_> = own.map(|(key, it)| (it.seen, *key)).collect();
        own.sort_unstable();
        let excess = (own.len() + 1).saturating_sub(MAX_SESSIONS);
        for (_, key) in own.iter().take(excess) {
            sessions.remove(key);
        }
        let session = Session {
            token,
            roles: operator.roles.clone(),
            began: now,
            seen: now,
            forms: VecDeque::new(),
            notice: None,
        };
        sessions.insert(hash(&cookie), session);
        Ok(cookie)
    }

    /// Returns the operator of a session that is live, and keeps it from being idle.
    pub(super) fn resume(
        &self,
        cookie: &str,
        operators: &Operators,
    ) -> Option<(SessionKey, Arc<Operator>)> {
        let key = hash(cookie);
        let mut sessions = self.live();
        let session = sessions.get_mut(&key)?;
        let operator = operators.find(&session.token);
        match operator.filter(|it| session.roles.iter().all(|role| it.may(*role))) {
            Some(operator) => {
                session.seen = Instant::now();
                Some((SessionKey(key), operator))
            }
            None => {
                sessions.remove(&key);
                None
            }
        }
    }

    pub(super) fn end(&self, cookie: &str) {
        self.live().remove(&hash(cookie));
    }

    /// Returns the id of a form, which can be sent once.
    pub(super) fn new_form(&self, key: SessionKey) -> Result<String, BoxError> {
        let form = random()?;
        self.give_back_form(key, form.clone());
        Ok(form)
    }

    /// Allows a form to be sent again, because it had no effect.
    pub(super) fn give_back_form(&self, key: SessionKey, form: String) {
        if let Some(session) = self.live().get_mut(&key.0) {
            if session.forms.len() == MAX_FORMS {
                session.forms.pop_front();
            }
            session.forms.push_back(form);
        }
    }

    /// Returns whether the form can be sent. Then it cannot be sent again.
    pub(super) fn take_form(&self, key: SessionKey, form: &str) -> bool {
        let mut sessions = self.live();
        let Some(session) = sessions.get_mut(&key.0) else {
            return false;
        };
        let place = session.forms.iter().position(|it| it == form);
        place
            .and_then(|place| session.forms.remove(place))
            .is_some()
    }

    pub(super) fn leave_notice(&self, key: SessionKey, notice: Notice) {
        if let Some(session) = self.live().get_mut(&key.0) {
            session.notice = Some(notice);
        }
    }

    pub(super) fn take_notice(&self, key: SessionKey) -> Option<Notice> {
        self.live().get_mut(&key.0)?.notice.take()
    }

    /// Locks the sessions, without those that are idle or old.
    fn live(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        let sessions = self.sessions.lock();
        let mut sessions = sessions.unwrap_or_else(PoisonError::into_inner);
        let (now, config) = (Instant::now(), &self.config);
        sessions.retain(|_, it| {
            now.duration_since(it.seen) < config.idle
                && now.duration_since(it.began) < config.longest
        });
        sessions
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret).into()
}

/// Returns 256 random bits.
fn random() -> Result<String, BoxError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
