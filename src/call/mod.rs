//! What the layers of one call share: its options, its deadline, and what became of its attempts.
//!
//! A [`Call`] travels with the request, from the call level into the [`Body`](crate::Body) of every
//! attempt.

mod attempt;
mod prefix;
mod progress;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

pub(crate) use self::{attempt::Attempt, prefix::Prefix, progress::Progress};
use crate::{BaseUrl, RetryConfig};

/// The per-call context that the layers hand down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    options: Option<Arc<CallOptions>>,
    progress: Arc<Progress>,
    deadline: Option<Instant>,
}

/// What a caller may choose for one call in place of the client's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<RetryConfig>>,
    pub(crate) base_url: Option<BaseUrl>,
}

impl Call {
    /// The same options for a call of its own, of which nothing has happened yet.
    pub(crate) fn renewed(&self) -> Self {
        Self {
            options: self.options.clone(),
            ..Self::default()
        }
    }

    /// A call of its own that goes to the same place, and shares no other option.
    pub(crate) fn at_same_base(&self) -> Self {
        let mut call = Self::default();
        if let Some(base_url) = self.options().and_then(|options| options.base_url.clone()) {
            call.options_mut().base_url = Some(base_url);
        }
        call
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
    }

    pub(crate) fn options_mut(&mut self) -> &mut CallOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// When the call's own time is over, for layers that would sleep past it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }
}
