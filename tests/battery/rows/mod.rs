//! The rows, in one file for each section.

mod body_http2;
mod connecting;
mod error_bodies;
mod fields;
mod head_http2;
mod host_names;
mod invalid_input;
mod keys;
mod ok_responses;
mod rate_limits;
mod request;
mod request_http2;
mod response_body;
mod response_head;
mod self_checks;
mod settings;
mod wire_layers;

use crate::harness::{row::Row, transport_kind::TransportKind};

/// A row that can be run: section, name, check.
pub(crate) type Runnable = (
    &'static str,
    String,
    Box<dyn FnOnce() -> Result<(), String> + Send>,
);

pub(crate) fn all() -> Vec<Runnable> {
    let mut all: Vec<Runnable> = TransportKind::ALL
        .iter()
        .flat_map(|kind| over_transport(*kind))
        .collect();
    all.extend(invalid_input::rows());
    all.extend(self_checks::rows());
    all
}

/// All rows with connections, over one transport.
fn over_transport(kind: TransportKind) -> Vec<Runnable> {
    let sections: [(&'static str, Vec<Row>); 9] = [
        ("Request on the wire", request::rows()),
        ("Request on the wire, HTTP/2", request_http2::rows()),
        ("Response head", response_head::rows()),
        ("Response body", response_body::rows()),
        ("Response head, HTTP/2", head_http2::rows()),
        ("Response body, HTTP/2", body_http2::rows()),
        ("Rate limits and time", rate_limits::rows()),
        ("Caller input", settings::rows()),
        ("Wire layers", wire_layers::rows()),
    ];
    let mut all = connecting::rows(kind);
    for (section, rows) in sections {
        for row in rows {
            let (name, row) = (kind.name(&row.name), row.over(kind));
            all.push((section, name, Box::new(move || row.check())));
        }
    }
    all
}
