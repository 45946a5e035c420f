//! What can be chosen of settling.

use std::{fmt, sync::Arc, time::Duration};

use super::SettleEvent;
use crate::layer::TraceLayer;

pub(super) type Hook = dyn Fn(&SettleEvent) + Send + Sync;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) enabled: bool,
    pub(super) max_creates: usize,
    pub(super) grace: Duration,
    pub(super) revoke_unread: bool,
    pub(super) hook: Option<Arc<Hook>>,
    pub(super) trace: TraceLayer,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            max_creates: 1024,
            grace: Duration::from_secs(30),
            revoke_unread: true,
            hook: None,
            trace: TraceLayer::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("enabled", &self.enabled)
            .field("max_creates", &self.max_creates)
            .field("grace", &self.grace)
            .field("revoke_unread", &self.revoke_unread)
            .field("hook", &self.hook.is_some())
            .finish()
    }
}
