//! The headers that only the stack sets.

pub(crate) const RESERVED: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
