//! The promises of the transport, over servers in the same process.

mod cancel;
mod errors;
mod http2;
mod reuse;
mod runtimes;
mod world;
