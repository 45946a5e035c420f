//! [`Operators`], the people who use the admin API and the console.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use clerk_actor_tokens_policy::{
    MemoryRateLimitStore, Principal, RateLimitStore,
    rate_limit::{Cell, Taken},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::OperatorConfig;

/// A permission of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// See calls, leases, the quota and whether creates are paused.
    View,
    /// Begin impersonations in the console.
    Impersonate,
    /// End tokens and sessions.
    End,
    /// Pause and resume creates, and reopen the quota.
    Pause,
}

/// A person who uses the admin API and the console.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operator {
    /// The name in the configuration.
    pub name: String,
    /// The user id that begins impersonations.
    pub actor: String,
    /// The permissions.
    pub roles: Vec<Role>,
    /// The groups that the policy names.
    pub groups: Vec<String>,
}

impl Role {
    /// Returns the role as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Impersonate => "impersonate",
            Self::End => "end",
            Self::Pause => "pause",
        }
    }
}

impl Operator {
    /// Returns whether the operator may do this.
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Returns the principal of the operator's calls. `via` says where the operator was authenticated, such as
    /// `admin`. The policy demands that an operator acts as itself, so the id is the actor's; a name that
    /// differs is a group, such as `operator:jo`.
    pub fn principal(&self, via: &str) -> Principal {
        let name = (self.name != self.actor).then(|| format!("operator:{}", self.name));
        let groups = self.groups.iter().cloned().chain(name);
        groups.fold(Principal::new(&*self.actor).via(via), Principal::group)
    }
}

/// How many failed authentications there may be at once, and how fast they are forgotten: 30 a minute.
const MAX_FAILURES: u32 = 30;
const FORGOTTEN: Duration = Duration::from_secs(2);

/// The operators of a gateway. Clones share them, so that they are replaced while it serves.
#[derive(Clone, Default)]
pub struct Operators(Arc<Shared>);

#[derive(Default)]
struct Shared {
    operators: RwLock<Vec<([u8; 32], Arc<Operator>)>>,
    failures: MemoryRateLimitStore,
}

impl Operators {
    /// Replaces all operators.
    ///
    /// # Errors
    ///
    /// When the hash of a token is invalid, or two operators have the same token. Then nothing changes.
    pub fn replace(
        &self,
        config: &BTreeMap<String, OperatorConfig>,
    ) -> Result<(), InvalidOperator> {
        let mut operators: Vec<([u8; 32], Arc<Operator>)> = Vec::new();
        for (name, config) in config {
            let mut hash = [0; 32];
            hex::decode_to_slice(&config.token_sha256, &mut hash)
                .map_err(|_| InvalidOperator::Hash(name.clone()))?;
            if let Some((_, other)) = operators.iter().find(|(other, _)| *other == hash) {
                return Err(InvalidOperator::SharedToken(
                    other.name.clone(),
                    name.clone(),
                ));
            }
            let operator = Operator {
                name: name.clone(),
                actor: config.actor.clone().unwrap_or_else(|| name.clone()),
                roles: config.roles.clone(),
                groups: config.groups.clone(),
            };
            operators.push((hash, Arc::new(operator)));
        }
        let current = self.0.operators.write();
        *current.unwrap_or_else(PoisonError::into_inner) = operators;
        Ok(())
    }

    /// Returns the operator whose token this is. The time does not depend on how much of a token is right.
    pub fn authenticate(&self, token: &SecretString) -> Option<Arc<Operator>> {
        self.find(&Sha256::digest(token.expose_secret()).into())
    }

    /// Returns the operator whose token has this hash.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<Arc<Operator>> {
        let operators = self.0.operators.read();
        let operators = operators.unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (other, operator) in operators.iter() {
            if bool::from(hash.ct_eq(other)) {
                found = Some(Arc::clone(operator));
            }
        }
        found
    }

    /// Counts a failed authentication. If there were too many, it returns the time until the next one is
    /// accepted. A valid token is accepted at any time, so that guessing does not lock operators out.
    pub(crate) async fn note_failure(&self) -> Option<Duration> {
        let cell = Cell::new("failures", FORGOTTEN, MAX_FAILURES);
        match self.0.failures.take(&[cell]).await {
            Ok(Taken::No { retry_after, .. }) => Some(retry_after),
            _ => None,
        }
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operators").finish_non_exhaustive()
    }
}

/// Why operators were not replaced. It names them as the configuration does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOperator {
    /// The hash of a token is not 64 hexadecimal digits.
    #[error("token_sha256 of the operator {0} is not 64 hexadecimal digits")]
    Hash(String),
    /// Two operators have the same token, so that the audit could not tell them apart.
    #[error("the operators {0} and {1} have the same token_sha256")]
    SharedToken(String, String),
}
