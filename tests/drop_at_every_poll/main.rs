//! Whoever drops a call, after however many polls, leaves no credential behind: each layer of the
//! stack above the settle layer, the whole stack, and the stack under what others put above it.

mod layers;
mod leases;
mod life;
mod parts;
mod scene;
mod stacks;
#[path = "../support"]
mod support {
    pub(crate) mod peer;
}
