//! A server and entries, for all tests.
#![allow(dead_code, reason = "no test uses all of it")]

#[path = "../../../store/tests/engines/entries.rs"]
pub(crate) mod entries;
mod server;

pub(crate) use self::{entries::*, server::*};
