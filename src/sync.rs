//! The locks and atomics by which threads agree: those of the standard library, or of loom, which tries
//! them in other orders than a machine happens to. CONTRIBUTING.md has the command.

#[cfg(all(test, clerk_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(all(test, clerk_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
