//! [`Principal`], who asks for a call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who asks for a call. The host puts it into the extensions of the request. It is cheap to clone.
///
/// ```
/// use clerk_actor_tokens::ActorTokenRequest;
/// use clerk_actor_tokens_policy::Principal;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut request = ActorTokenRequest::revoke("act_1".parse()?);
/// request.extensions_mut().insert(Principal::new("user_admin").via("console"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Principal {
    /// The id of the person, or the name of the key.
    pub id: Arc<str>,
    /// How the principal was authenticated, such as `console` or `key`.
    pub via: Arc<str>,
    /// The groups that rules can name.
    pub groups: Arc<[Arc<str>]>,
    /// The user who impersonates this principal, if one does.
    pub act: Option<Arc<str>>,
}

impl Principal {
    /// The value of `via` for a named key. The `id` of the principal is then the name of the key.
    pub const KEY: &str = "key";

    /// Creates a principal without groups.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            via: Arc::default(),
            groups: Arc::default(),
            act: None,
        }
    }

    /// Sets how the principal was authenticated.
    #[must_use]
    pub fn via(mut self, via: impl Into<Arc<str>>) -> Self {
        self.via = via.into();
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.groups = self.groups.iter().cloned().chain([group.into()]).collect();
        self
    }

    /// Sets the user who impersonates this principal.
    #[must_use]
    pub fn impersonated_by(mut self, actor: impl Into<Arc<str>>) -> Self {
        self.act = Some(actor.into());
        self
    }
}
