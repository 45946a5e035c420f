#![doc = include_str!("../docs/guide/index.md")]

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
    #[cfg(feature = "sessions")] sessions: "../docs/guide/sessions.md";
    observability: "../docs/guide/observability.md";
    secrets: "../docs/guide/secrets.md";
    costs: "../docs/costs.md";
    soak: "../docs/soak.md";
    #[cfg(not(doctest))] transport: "../docs/guide/transport.md";
    #[cfg(not(doctest))] axum: "../docs/guide/axum.md";
    #[cfg(not(doctest))] tonic: "../docs/guide/tonic.md";
    #[cfg(not(doctest))] gateway: "../docs/guide/gateway.md";
    #[cfg(not(doctest))] testing: "../docs/guide/testing.md";
}
