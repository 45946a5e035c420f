//! [`SharedPolicy`], a policy that can be replaced at run time.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use clerk_actor_tokens::BoxError;

use super::{Ask, Authorizer, Decision, Policy};

/// A [`Policy`] that can be replaced at run time. All clones share it.
///
/// ```
/// use clerk_actor_tokens_policy::{AttributionLayer, AuthorizeLayer, Policy, SharedPolicy};
///
/// # fn main() -> Result<(), toml::de::Error> {
/// let read = |version: &str| {
///     let limits = "{ default = 300, longest = 900 }";
///     toml::from_str::<Policy>(&format!("version = \"{version}\"\nlifetime = {limits}\nsession = {limits}"))
/// };
/// let policy = SharedPolicy::new(read("1")?);
/// let attribution = AttributionLayer::new("support-gateway").policy(policy.clone());
/// let authorize = AuthorizeLayer::new(policy.clone());
///
/// policy.replace(read("2")?);
/// assert_eq!(policy.current().version(), "2");
/// # drop((attribution, authorize));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedPolicy {
    current: Arc<RwLock<Arc<Policy>>>,
}

impl SharedPolicy {
    /// Shares a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(policy))),
        }
    }

    /// Returns the policy that decides now.
    pub fn current(&self) -> Arc<Policy> {
        // A policy is replaced in one step, so a poisoned lock holds a valid one.
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policy for later decisions.
    pub fn replace(&self, policy: Policy) {
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

impl fmt::Debug for SharedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.current();
        f.debug_tuple("SharedPolicy")
            .field(&version.version())
            .finish()
    }
}

impl Authorizer for SharedPolicy {
    async fn authorize(&self, ask: Ask<'_>) -> Result<Decision, BoxError> {
        Ok(self.current().decide(&ask))
    }

    fn authorize_now(&self, ask: &Ask<'_>) -> Option<Decision> {
        Some(self.current().decide(ask))
    }
}
