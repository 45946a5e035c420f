//! The harness that runs the rows.

pub(crate) mod caller;
pub(crate) mod checks;
pub(crate) mod gzip;
pub(crate) mod h2_frames;
pub(crate) mod interceptor;
pub(crate) mod leaks;
pub(crate) mod pipe;
pub(crate) mod row;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod sockets;
pub(crate) mod split;
pub(crate) mod transport_kind;
