//! [`Principal`], who asks for a call.

use serde::{Deserialize, Serialize};

/// Who asks for a call. The host puts it into the extensions of the request.
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
    pub id: String,
    /// How the principal was authenticated, such as `console` or `key`.
    pub via: String,
    /// The groups that rules can name.
    pub groups: Vec<String>,
    /// The user who impersonates this principal, if one does.
    pub act: Option<String>,
}

impl Principal {
    /// The value of `via` for a named key. The `id` of the principal is then the name of the key.
    pub const KEY: &str = "key";

    /// Creates a principal without groups.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            via: String::new(),
            groups: Vec::new(),
            act: None,
        }
    }

    /// Sets how the principal was authenticated.
    #[must_use]
    pub fn via(mut self, via: impl Into<String>) -> Self {
        self.via = via.into();
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Sets the user who impersonates this principal.
    #[must_use]
    pub fn impersonated_by(mut self, actor: impl Into<String>) -> Self {
        self.act = Some(actor.into());
        self
    }
}
