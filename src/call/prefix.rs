//! [`Prefix`], the bytes of a response body that were received so far.

use bytes::{Bytes, BytesMut};

/// The bytes of a body that were received so far. A body of one frame is not copied.
#[derive(Default)]
pub(crate) struct Prefix {
    first: Bytes,
    rest: BytesMut,
}

impl Prefix {
    /// Adds a frame, up to `limit` bytes in all. Returns whether it fits.
    pub(crate) fn push(&mut self, mut data: Bytes, limit: usize) -> bool {
        let room = limit - self.len();
        let fits = data.len() <= room;
        data.truncate(room);
        if self.len() == 0 {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&self.first);
            }
            self.rest.extend_from_slice(&data);
        }
        fits
    }

    fn len(&self) -> usize {
        self.first.len().max(self.rest.len())
    }

    /// Returns a copy of the bytes so far.
    pub(crate) fn snapshot(&self) -> Bytes {
        if self.rest.is_empty() {
            self.first.clone()
        } else {
            Bytes::copy_from_slice(&self.rest)
        }
    }

    pub(crate) fn take(&mut self) -> Bytes {
        let Self { first, rest } = std::mem::take(self);
        if rest.is_empty() {
            first
        } else {
            rest.freeze()
        }
    }
}
