#![doc = include_str!("../README.md")]

mod body;
mod error;
mod host;
mod link;
mod pool;
mod target;
mod transport;

pub use self::{
    body::ResponseBody,
    error::Error,
    transport::{Builder, PooledTransport, ResponseFuture},
};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
