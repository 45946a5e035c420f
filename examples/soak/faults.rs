//! The faults and delays of the sandbox.

use std::time::Duration;

use bytes::Bytes;
use clerk_actor_tokens::sandbox::Fault;
use fastrand::Rng;
use http::{StatusCode, request::Parts};

use crate::ending;

/// The longest delay of a response without a fault.
const DELAY: Duration = Duration::from_millis(5);

/// Chooses a fault for this share of the requests. The others mostly get a small delay: before or after the
/// token is minted, or in the middle of the response body.
pub(crate) fn choose(seed: u64, share: f64) -> impl Fn(u64, &Parts) -> Option<Fault> {
    move |number, head| {
        let mut rng = ending::rng(seed, number);
        if rng.f64() >= share {
            return delay(&mut rng);
        }
        Some(if head.uri.path().ends_with("/revoke") {
            of_revoke(&mut rng)
        } else {
            of_create(&mut rng)
        })
    }
}

fn delay(rng: &mut Rng) -> Option<Fault> {
    let time = DELAY.mul_f64(rng.f64());
    match rng.u8(..4) {
        0 => None,
        1 => Some(Fault::Delay(time)),
        2 => Some(Fault::DelayAfter(time)),
        _ => Some(Fault::Pause {
            after: rng.usize(..400),
            time,
        }),
    }
}

fn of_create(rng: &mut Rng) -> Fault {
    match rng.u8(..10) {
        0 => Fault::DisconnectBefore,
        1 => Fault::DisconnectAfter,
        2 | 3 => Fault::Truncate(rng.usize(..400)),
        4 => Fault::HangBefore,
        5 => Fault::HangAfter,
        6 => Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
        7 => Fault::StatusAfter(StatusCode::SERVICE_UNAVAILABLE),
        8 => Fault::Body(Bytes::from_static(b"<html>")),
        _ => TOO_MANY,
    }
}

/// Chooses a fault that does not hang, because a revoke would wait for the 10 s of its attempt.
fn of_revoke(rng: &mut Rng) -> Fault {
    match rng.u8(..7) {
        0 => Fault::DisconnectBefore,
        1 => Fault::DisconnectAfter,
        2 => Fault::Truncate(rng.usize(..400)),
        3 => Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
        4 => Fault::StatusAfter(StatusCode::SERVICE_UNAVAILABLE),
        5 => Fault::Html(StatusCode::BAD_GATEWAY),
        _ => TOO_MANY,
    }
}

const TOO_MANY: Fault = Fault::RateLimited {
    retry_after: Duration::ZERO,
};
