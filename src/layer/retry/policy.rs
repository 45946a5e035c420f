//! [`Policy`], a configuration and whoever may overrule it.

use std::{fmt, sync::Arc};

use super::{budget::Budget, verdict::Verdict};
use crate::{BoxError, Error, OperationKind, RetryConfig};

type Overrule = dyn Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync;

/// Overrules a verdict.
#[derive(Clone)]
pub(crate) struct Classifier(Arc<Overrule>);

impl Classifier {
    pub(crate) fn new<F>(classifier: F) -> Self
    where
        F: Fn(&Error, OperationKind, Verdict) -> Verdict + Send + Sync + 'static,
    {
        Self(Arc::new(classifier))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Classifier")
    }
}

/// What decides whether a failed attempt may be followed by another, for all calls.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) config: RetryConfig,
    pub(super) classifier: Option<Classifier>,
    pub(super) budget: Arc<Budget>,
}

impl Policy {
    pub(super) fn new(config: RetryConfig) -> Self {
        Self {
            config,
            classifier: None,
            budget: Arc::default(),
        }
    }

    /// The verdict, or the one that somebody puts in its place.
    pub(super) fn overruled(
        &self,
        verdict: Verdict,
        error: &BoxError,
        kind: OperationKind,
    ) -> Verdict {
        match (&self.classifier, error.downcast_ref::<Error>()) {
            (Some(Classifier(overrule)), Some(error)) => overrule(error, kind, verdict),
            _ => verdict,
        }
    }
}
