//! Serves the wire protocol.
