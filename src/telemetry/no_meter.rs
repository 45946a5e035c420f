//! Without the feature `metrics`, nothing is measured, and nothing is left of it.

use http::StatusCode;

use super::ErrorType;
use crate::{OperationKind, settle_end::SettleEnd};

/// Whether anything is measured at all.
pub(crate) const METERED: bool = false;

#[derive(Debug)]
pub(crate) struct CallMeter;

impl CallMeter {
    pub(crate) fn begin(_: OperationKind) -> Self {
        Self
    }

    pub(crate) fn end(&self, _: &'static str, _: Option<ErrorType>) {}
}

#[derive(Debug)]
pub(crate) struct AttemptMeter;

impl AttemptMeter {
    pub(crate) fn begin(_: OperationKind, _: impl FnOnce() -> Option<(String, u16)>) -> Self {
        Self
    }

    pub(crate) fn end(&self, _: &'static str, _: Option<StatusCode>, _: Option<ErrorType>) {}
}

pub(crate) fn retry(_: OperationKind, _: ErrorType) {}

pub(crate) fn retry_budget_left(_: impl FnOnce() -> f64) {}

pub(crate) fn settled(_: SettleEnd) {}
