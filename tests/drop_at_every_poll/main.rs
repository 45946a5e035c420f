//! A call that is dropped after any number of polls loses no token: with each layer above Settle alone, in
//! the whole stack, and in the stack under users' layers.

mod layers;
mod leases;
mod lifecycle;
mod requests;
mod setup;
mod stacks;
#[path = "../support"]
mod support {
    pub(crate) mod peer;
    pub(crate) mod reports;
    pub(crate) mod tower_policies;
}
