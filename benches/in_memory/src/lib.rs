//! What a call costs without a network: the cases that the programs of this package run.
//!
//! A transport that answers at once stands below everything, so that what is counted is the code
//! between the caller and the transport. A hand-written call of the same operation over the same
//! transport is the floor that the stack is compared with.

mod answers;
mod case;
mod floor;
mod in_flight;
mod layers;
mod stack;
mod transport;

pub use self::{
    case::{Case, Kind, cases, find, runtime},
    in_flight::{Caller, InFlight},
};
