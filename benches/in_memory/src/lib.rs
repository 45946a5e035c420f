//! The cost of a call without a network: of the code between the caller and a transport that responds at
//! once. The floor is a hand-written call over the same transport.

mod case;
mod floor;
mod in_flight;
mod layers;
mod policy;
mod samples;
mod stack;
mod transport;

/// Makes a given number of calls.
type Calls = Box<dyn FnMut(&tokio::runtime::Runtime, u64)>;

pub use self::{
    case::{Case, Kind, cases, find, runtime},
    in_flight::{Caller, InFlight},
};
