//! The rows, a file a section.

mod answers;
mod body_http2;
mod callers;
mod calls;
mod connecting;
mod error_bodies;
mod fields;
mod head_http2;
mod itself;
mod keys;
mod names;
mod rate_limits;
mod request;
mod request_http2;
mod response_body;
mod response_head;
mod wire_layers;

use crate::harness::{over::Over, row::Row};

/// A row ready to be run: section, name, check.
pub(crate) type Runnable = (
    &'static str,
    String,
    Box<dyn FnOnce() -> Result<(), String> + Send>,
);

pub(crate) fn all() -> Vec<Runnable> {
    let mut all: Vec<Runnable> = Over::ALL.iter().flat_map(|over| over_one(*over)).collect();
    all.extend(callers::rows());
    all.extend(itself::rows());
    all
}

/// Everything that is about a connection, over one transport.
fn over_one(over: Over) -> Vec<Runnable> {
    let sections: [(&'static str, Vec<Row>); 9] = [
        ("Request on the wire", request::rows()),
        ("Request on the wire, HTTP/2", request_http2::rows()),
        ("Response head", response_head::rows()),
        ("Response body", response_body::rows()),
        ("Response head, HTTP/2", head_http2::rows()),
        ("Response body, HTTP/2", body_http2::rows()),
        ("Rate limits and time", rate_limits::rows()),
        ("What callers pass", calls::rows()),
        ("Wire layers", wire_layers::rows()),
    ];
    let mut all = connecting::rows(over);
    for (section, rows) in sections {
        for row in rows {
            let (name, row) = (over.name(&row.name), row.over(over));
            all.push((section, name, Box::new(move || row.check())));
        }
    }
    all
}
