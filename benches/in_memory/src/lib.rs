//! The cost of a call without a network: the cases that the programs of this package run.
//!
//! The transport responds at once, so that only the code between the caller and the transport is
//! counted. The stack is compared with a floor: a hand-written call of the same operation over the same
//! transport.

mod answers;
mod case;
mod floor;
mod in_flight;
mod layers;
mod stack;
mod transport;

/// Makes a given number of calls.
type Calls = Box<dyn FnMut(&tokio::runtime::Runtime, u64)>;

pub use self::{
    case::{Case, Kind, cases, find, runtime},
    in_flight::{Caller, InFlight},
};
