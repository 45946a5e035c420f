//! A support desk with OpenTelemetry spans and Prometheus metrics. `main` prints them, and the tests check
//! them.

mod desk;
mod propagation;
mod telemetry;
mod tree;

pub use self::{
    desk::{Desk, Scene},
    telemetry::Telemetry,
    tree::tree,
};
