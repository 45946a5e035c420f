//! What rows are run on.

pub(crate) mod h2_frames;
pub(crate) mod pipe;
pub(crate) mod row;
pub(crate) mod script;
pub(crate) mod sockets;
