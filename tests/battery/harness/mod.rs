//! What rows are run on.

pub(crate) mod caller;
pub(crate) mod checks;
pub(crate) mod gzip;
pub(crate) mod h2_frames;
pub(crate) mod over;
pub(crate) mod pipe;
pub(crate) mod row;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod settling;
pub(crate) mod silence;
pub(crate) mod sockets;
pub(crate) mod wire;
