//! The measured cases.

use tokio::runtime::{Builder, Runtime};

use crate::{
    Calls,
    in_flight::{Caller, in_flight},
    layers, policy,
    stack::{self, Operation},
};

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// The case to compare with. A floor names itself.
    pub against: &'static str,
    pub kind: Kind,
    prepare: fn() -> Calls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole call, reported as a multiple of the floor.
    Whole,
    /// A layer alone, reported as the difference to the bare service.
    Alone,
    /// Concurrent creates.
    InFlight { at_once: u64 },
}

impl Case {
    /// Sets up everything that is not part of a call.
    pub fn prepare(&self) -> impl FnMut(&Runtime, u64) + use<> {
        (self.prepare)()
    }

    pub fn is_floor(&self) -> bool {
        self.name == self.against
    }
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

pub fn find(name: &str) -> Option<Case> {
    cases().into_iter().find(|case| case.name == name)
}

#[rustfmt::skip]
pub fn cases() -> Vec<Case> {
    use Kind::{Alone, InFlight, Whole};
    let case = |kind, name, against, prepare| Case { name, against, kind, prepare };
    vec![
        case(Whole, "floor/create", "floor/create", || stack::floor(Operation::Create)),
        case(Whole, "stack/create", "floor/create", || stack::unboxed(Operation::Create)),
        case(Whole, "untraced/create", "floor/create", || stack::untraced(Operation::Create)),
        case(Whole, "client/create", "floor/create", || stack::boxed(Operation::Create)),
        case(Whole, "floor/revoke", "floor/revoke", || stack::floor(Operation::Revoke)),
        case(Whole, "stack/revoke", "floor/revoke", || stack::unboxed(Operation::Revoke)),
        case(Whole, "untraced/revoke", "floor/revoke", || stack::untraced(Operation::Revoke)),
        case(Whole, "client/revoke", "floor/revoke", || stack::boxed(Operation::Revoke)),
        case(Whole, "floor/refused", "floor/refused", || stack::floor(Operation::Refused)),
        case(Whole, "stack/refused", "floor/refused", || stack::unboxed(Operation::Refused)),
        case(Whole, "client/refused", "floor/refused", || stack::boxed(Operation::Refused)),
        case(Alone, "call/bare", "call/bare", layers::no_call_layer),
        case(Alone, "call/typed_error", "call/bare", layers::typed_error),
        case(Alone, "call/timeout", "call/bare", layers::call_timeout),
        case(Alone, "attempt/bare", "attempt/bare", layers::no_attempt_layer),
        case(Alone, "call/json", "attempt/bare", layers::json),
        case(Alone, "call/json_over_settle", "call/json", layers::json_over_settle),
        case(Alone, "attempt/retry", "attempt/bare", layers::retry),
        case(Alone, "attempt/decode_error", "attempt/bare", layers::decode_error),
        case(Alone, "attempt/timeout", "attempt/bare", layers::attempt_timeout),
        case(Alone, "attempt/collect_body", "attempt/bare", layers::collect_body),
        case(Alone, "wire/base_uri", "attempt/bare", layers::base_uri),
        case(Alone, "wire/bare", "wire/bare", layers::no_wire_layer),
        case(Alone, "wire/api_headers", "wire/bare", layers::api_headers),
        case(Alone, "wire/bearer_auth", "wire/bare", layers::bearer_auth),
        case(Whole, "policy/none", "floor/create", policy::none),
        case(Whole, "policy/by_hand", "floor/create", policy::by_hand),
        case(Whole, "policy/create", "floor/create", policy::all),
        case(Alone, "policy/bare", "policy/bare", policy::no_layer),
        case(Alone, "policy/attribution", "policy/bare", policy::attribution),
        case(Alone, "policy/authorize", "policy/bare", policy::authorize),
        case(Alone, "policy/rate_limit", "policy/bare", policy::rate_limit),
        case(Alone, "policy/audit", "policy/bare", policy::audit),
        case(Alone, "policy/gate", "attempt/bare", policy::gate),
        case(InFlight { at_once: 1 }, "floor/1", "floor/1", || in_flight(Caller::Floor, 1)),
        case(InFlight { at_once: 1 }, "stack/1", "floor/1", || in_flight(Caller::Stack, 1)),
        case(InFlight { at_once: 1 }, "client/1", "floor/1", || in_flight(Caller::Client, 1)),
        case(InFlight { at_once: 100 }, "floor/100", "floor/100", || in_flight(Caller::Floor, 100)),
        case(InFlight { at_once: 100 }, "stack/100", "floor/100", || in_flight(Caller::Stack, 100)),
        case(InFlight { at_once: 100 }, "client/100", "floor/100", || in_flight(Caller::Client, 100)),
        case(InFlight { at_once: 10_000 }, "floor/10000", "floor/10000", || in_flight(Caller::Floor, 10_000)),
        case(InFlight { at_once: 10_000 }, "stack/10000", "floor/10000", || in_flight(Caller::Stack, 10_000)),
        case(InFlight { at_once: 10_000 }, "client/10000", "floor/10000", || in_flight(Caller::Client, 10_000)),
    ]
}
