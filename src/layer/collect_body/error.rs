//! [`CollectBodyError`], a body that could not be read to its end.

use std::fmt;

use bytes::Bytes;
use http::response;

use crate::BoxError;

/// A 200 whose body could not be read to its end. Shows nothing of the body.
pub struct CollectBodyError {
    head: response::Parts,
    read: Bytes,
    failure: Failure,
}

#[derive(Debug)]
pub(super) enum Failure {
    TooLong(usize),
    BrokenOff(BoxError),
}

impl CollectBodyError {
    pub(super) fn new(head: response::Parts, read: Bytes, failure: Failure) -> Self {
        Self {
            head,
            read,
            failure,
        }
    }

    /// The head of the answer.
    #[must_use]
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// What was read of the body. It may hold a credential.
    #[must_use]
    pub fn expose_prefix(&self) -> &Bytes {
        &self.read
    }
}

impl fmt::Display for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Failure::BrokenOff(_) => {
                write!(f, "the answer broke off after {} bytes", self.read.len())
            }
        }
    }
}

impl fmt::Debug for CollectBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectBodyError")
            .field("status", &self.head.status)
            .field("read", &self.read.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for CollectBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            Failure::TooLong(_) => None,
            Failure::BrokenOff(error) => Some(&**error),
        }
    }
}
