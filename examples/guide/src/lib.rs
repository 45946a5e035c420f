//! Compiles the pages of the guide that need large crates: `cargo test -p guide`.
//!
//! The other pages are compiled with the crate itself. `tests/testing.rs` runs the tests of the page about
//! testing, and `tests/gateway.rs` the program of the page about a gateway.

macro_rules! pages {
    ($($name:ident: $path:literal;)*) => {
        $(#[doc = include_str!($path)] pub mod $name {})*
    };
}

pages! {
    transport: "../../../docs/guide/transport.md";
    axum: "../../../docs/guide/axum.md";
    tonic: "../../../docs/guide/tonic.md";
    gateway: "../../../docs/guide/gateway.md";
}
