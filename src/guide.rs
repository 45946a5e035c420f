//! The guide: one page a task. Each program in it compiles as it stands.
//!
//! | page | |
//! |---|---|
//! | [`call_layer`] | a layer that sees each call: authorization, limits |
//! | [`wire_layer`] | a layer that sees each attempt as HTTP: signatures, trace headers |
//! | [`observer`] | a layer that sees every result, and the outcome of cancelled calls: an audit |
//! | [`retries`] | numbers and times, single decisions, tower's retry |
//! | [`transport`] | reqwest, hyper-util or a function in place of the default transport |
//! | [`axum`], [`tonic`] | a server whose routes or methods mint links |
//! | [`testing`] | the sandbox, and `tower_test` |
//! | [`synchronous`] | programs without `async` |
//! | [`python_sdk`] | coming from Clerk's Python SDK, option by option |
//! | [`settling`] | what settling promises, and what not |
//! | [`observability`], [`secrets`] | spans, metrics, and what they never contain |
//! | [`costs`], [`soak`] | measurements |
//!
//! The repository has programs as well. Each runs offline:
//!
//! | command | shows |
//! |---|---|
//! | `cargo run --example quickstart` | create, read, revoke |
//! | `cargo run --example custom_layer` | one layer at three levels |
//! | `cargo run --example hand_built_stack` | the stack by `ServiceBuilder`, with tower's own retry |
//! | `cargo run --example gateway` | Clerk's wire protocol on a local port, with a guard and limits |
//! | `cargo run --example sandbox -- --port 4010` | the sandbox over TCP, for SDKs in any language |
//! | `cargo run --example soak` | random cancellations, and the end of every token |
//! | `cargo run -p custom_transport` | a `service_fn` and reqwest as transports |
//! | `cargo run -p observability` | spans by OpenTelemetry, metrics by Prometheus |

// `examples/guide` compiles the pages that need large crates.
macro_rules! pages {
    ($($(#[$meta:meta])* $name:ident: $path:literal;)*) => {
        $($(#[$meta])* #[doc = include_str!($path)] pub mod $name {})*
    };
}

pages! {
    call_layer: "../docs/guide/call_layer.md";
    wire_layer: "../docs/guide/wire_layer.md";
    observer: "../docs/guide/observer.md";
    retries: "../docs/guide/retries.md";
    synchronous: "../docs/guide/synchronous.md";
    python_sdk: "../docs/guide/python_sdk.md";
    settling: "../docs/guide/settling.md";
    observability: "../docs/guide/observability.md";
    secrets: "../docs/guide/secrets.md";
    costs: "../docs/costs.md";
    soak: "../docs/soak.md";
    #[cfg(not(doctest))] transport: "../docs/guide/transport.md";
    #[cfg(not(doctest))] axum: "../docs/guide/axum.md";
    #[cfg(not(doctest))] tonic: "../docs/guide/tonic.md";
    #[cfg(not(doctest))] testing: "../docs/guide/testing.md";
}
