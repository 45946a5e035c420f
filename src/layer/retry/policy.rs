//! [`Policy`], a configuration and whoever may overrule it.

use std::{fmt, sync::Arc};

use super::verdict::{Verdict, verdict};
use crate::{BoxError, Error, Intent, RetryConfig};

type Overrule = dyn Fn(&Error, Intent, Verdict) -> Verdict + Send + Sync;

/// Overrules a verdict.
#[derive(Clone)]
pub(crate) struct Classifier(Arc<Overrule>);

impl Classifier {
    pub(crate) fn new<F>(classifier: F) -> Self
    where
        F: Fn(&Error, Intent, Verdict) -> Verdict + Send + Sync + 'static,
    {
        Self(Arc::new(classifier))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

/// What decides whether a failed attempt may be followed by another.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    config: Arc<RetryConfig>,
    pub(super) classifier: Option<Classifier>,
}

impl Policy {
    pub(super) fn new(config: RetryConfig) -> Self {
        Self {
            config: Arc::new(config),
            classifier: None,
        }
    }

    /// The same policy with a call's own configuration, if it has one.
    pub(super) fn with_config(&self, own: Option<&Arc<RetryConfig>>) -> Self {
        Self {
            config: Arc::clone(own.unwrap_or(&self.config)),
            classifier: self.classifier.clone(),
        }
    }

    pub(super) fn config(&self) -> &RetryConfig {
        &self.config
    }

    pub(super) fn verdict(&self, error: &BoxError, intent: Intent) -> Verdict {
        let verdict = verdict(error, intent, &self.config);
        match (&self.classifier, error.downcast_ref::<Error>()) {
            (Some(Classifier(overrule)), Some(error)) => overrule(error, intent, verdict),
            _ => verdict,
        }
    }
}
