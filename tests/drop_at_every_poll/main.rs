//! A call that is dropped after any number of polls loses no token: each layer above Settle alone, the
//! whole stack, and the stack under the layers of others.

mod layers;
mod leases;
mod lifecycle;
mod requests;
mod setup;
mod stacks;
#[path = "../support"]
mod support {
    pub(crate) mod peer;
}
