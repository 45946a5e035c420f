//! A support desk whose calls are seen as OpenTelemetry spans and Prometheus metrics; what `main`
//! prints, and what the tests check.

mod desk;
mod propagation;
mod telemetry;
mod tree;

pub use self::{
    desk::{Desk, Scene},
    telemetry::Telemetry,
    tree::tree,
};
