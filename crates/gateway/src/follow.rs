//! Follows the settings that several gateways share.

use std::{
    future::pending,
    time::{Duration, SystemTime},
};

use clerk_actor_tokens_policy::SharedPolicy;
use clerk_actor_tokens_store::{Flag, Settings, millis};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{pause::Pause, quota::Quota};

/// The time between two counts of the tokens of all gateways.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// How long the first settings may take.
const FIRST_LIMIT: Duration = Duration::from_secs(30);

/// What the settings change.
pub(crate) struct Followers {
    pub(crate) pause: Pause,
    pub(crate) quota: Quota,
    pub(crate) policy: SharedPolicy,
    /// The version of the policy that another gateway loaded, while it is not that of this one.
    pub(crate) other_policy: watch::Sender<Option<String>>,
}

impl Followers {
    /// Follows the settings, of which `last` were read before. It never ends.
    pub(crate) async fn follow(
        self,
        last: Settings,
        mut settings: watch::Receiver<Option<Settings>>,
    ) {
        // The first value is `None`, too, and `last` is as new.
        _ = timeout(FIRST_LIMIT, settings.wait_for(Option::is_some)).await;
        let mut last = Some(last);
        let mut counts = interval(COUNT_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let current = settings.borrow_and_update().clone();
            self.apply(last.as_ref(), current.as_ref());
            last = current;
            loop {
                tokio::select! {
                    changed = settings.changed() => match changed {
                        Ok(()) => break,
                        // The storage has ended.
                        Err(_) => pending().await,
                    },
                    _ = counts.tick() => self.quota.count_again().await,
                }
            }
        }
    }

    /// Applies what differs from the last settings. A change of this gateway itself is in force before the settings
    /// show it, so what does not differ changes nothing.
    fn apply(&self, last: Option<&Settings>, current: Option<&Settings>) {
        let Some(current) = current else {
            return self.pause.set(Some(unknown()));
        };
        if last.is_none_or(|last| last.paused != current.paused) {
            self.pause.set(current.paused.clone());
        }
        if last.is_none_or(|last| last.quota_closed != current.quota_closed) {
            self.quota.set_closed(current.quota_closed.clone());
        }
        if last.is_none_or(|last| last.policy != current.policy) {
            let loaded = self.policy.current();
            let other = current.policy.clone();
            let other = other.filter(|version| version != loaded.version());
            self.other_policy.send_replace(other);
        }
    }
}

/// Pauses creates, because another gateway may have paused them.
fn unknown() -> Flag {
    Flag {
        since: millis(SystemTime::now()),
        by: None,
        reason: Some("the settings could not be read from the database".into()),
    }
}

#[cfg(test)]
mod tests {
    use clerk_actor_tokens_policy::Policy;

    use super::*;
    use crate::{
        config,
        storage::Storage,
        store::{Store, StoreOptions},
    };

    fn flag(reason: &str) -> Option<Flag> {
        Some(Flag {
            since: millis(SystemTime::now()),
            by: Some("olga".into()),
            reason: Some(reason.into()),
        })
    }

    #[tokio::test]
    async fn settings_pause_close_and_announce_and_unknown_ones_pause() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("gateway.db"), StoreOptions::new()).unwrap();
        let storage = Storage::from(store);
        let config = config::Quota::default();
        let quota = Quota::open(&config, None, storage);
        let policy = "version = '1'\nlifetime = { default = 1, longest = 2 }\nsession = { default = 1, longest = 2 }";
        let policy: Policy = toml::from_str(policy).unwrap();
        let followers = Followers {
            pause: Pause::default(),
            quota: quota.await.unwrap(),
            policy: SharedPolicy::new(policy),
            other_policy: watch::Sender::default(),
        };
        let reason = || followers.pause.get().and_then(|flag| flag.reason);
        let settings = |paused, quota_closed, version: &str| Settings {
            paused,
            quota_closed,
            policy: Some(version.into()),
        };
        let first = settings(None, None, "1");
        let second = settings(flag("incident"), flag("402"), "2");
        followers.apply(Some(&first), Some(&second));
        assert_eq!(reason().as_deref(), Some("incident"));
        assert!(followers.quota.status().closed.is_some());
        assert_eq!(followers.other_policy.borrow().as_deref(), Some("2"));

        // A change of this gateway, which the settings do not show yet.
        followers.pause.set(None);
        followers.apply(Some(&second), Some(&second));
        assert_eq!(reason(), None);

        followers.apply(Some(&second), None);
        let unknown = "the settings could not be read from the database";
        assert_eq!(reason().as_deref(), Some(unknown));
        followers.apply(None, Some(&first));
        assert_eq!(reason(), None);
        assert!(followers.quota.status().closed.is_none());
        assert_eq!(*followers.other_policy.borrow(), None);
    }
}
