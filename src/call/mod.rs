//! What the layers of one call share: its options, its deadline, and what became of its attempts.
//!
//! A [`Call`] travels with the request down to where that is encoded. From there on its [`Progress`]
//! holds all of it, so that the [`Body`](crate::Body) of every attempt is but a handle.

mod account;
mod attempt;
mod content;
mod guards;
#[cfg(all(test, clerk_loom))]
mod in_every_order;
mod prefix;
mod progress;
mod state;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

pub(crate) use self::{
    attempt::Attempt, content::Content, prefix::Prefix, progress::Progress, state::Hints,
};
use crate::{BaseUrl, OperationKind, RetryConfig};

/// The per-call context that the layers of the call level hand down.
#[derive(Debug, Default)]
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
    /// The same options for a call of its own, of which nothing has happened yet. What becomes of it is
    /// told whoever waits for this one.
    pub(crate) fn renewed(&self) -> Self {
        Self {
            options: self.options.clone(),
            progress: Progress::of_clone(&self.progress),
            deadline: None,
        }
    }

    /// Somebody waits for the call, and tells what becomes of it and of its clones. Where somebody does so
    /// further up, it is a [part](Self::part) of that one's call.
    pub(crate) fn watch(&mut self) -> &Arc<Progress> {
        self.part();
        self.progress.watch();
        &self.progress
    }

    /// Becomes a part of the call that it was, if somebody waits for that one.
    pub(crate) fn part(&mut self) {
        if self.progress.is_watched() {
            self.progress = Progress::of_clone(&self.progress);
        }
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
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// The call is encoded, once: all its attempts say this.
    pub(crate) fn encoded(self, kind: OperationKind, bytes: Bytes) -> Arc<Progress> {
        self.progress.set_content(Content {
            bytes,
            kind,
            options: self.options,
            deadline: self.deadline,
        });
        self.progress
    }
}
