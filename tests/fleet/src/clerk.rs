//! [`Clerk`], the sandbox in place of the API, with an address for each gateway.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clerk_actor_tokens::sandbox::{Fault, Sandbox, SandboxServer};
use tokio::time::Instant;

use crate::Result;

/// The wait that a 429 names.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The time in which attempts may arrive that left before their gateway had read a 429. The machine is busy.
const IN_FLIGHT: Duration = Duration::from_millis(400);

/// The sandbox in place of the API.
pub(crate) struct Clerk {
    pub(crate) sandbox: Sandbox,
    servers: Vec<SandboxServer>,
    gates: Arc<Mutex<Gates>>,
}

/// The creates of each gateway, by the port that it uses.
#[derive(Default)]
struct Gates {
    closed: HashMap<u16, Closed>,
    counts: Counts,
}

#[derive(Clone, Copy)]
struct Closed {
    at: Instant,
    until: Instant,
}

/// What the sandbox saw.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) creates: u64,
    pub(crate) rate_limited: u64,
    /// Creates that left a gateway before the time that a 429 named.
    pub(crate) before_until: u64,
}

impl Clerk {
    pub(crate) async fn start(replicas: usize, seed: u64, faulty: bool) -> Result<Self> {
        let gates: Arc<Mutex<Gates>> = Arc::default();
        let shared = Arc::clone(&gates);
        let sandbox = Sandbox::new().faults_by(move |number, head| {
            let is_create = head.uri.path().ends_with("/actor_tokens");
            let fault = faulty.then(|| fault(seed, number)).flatten();
            if is_create {
                let host = head.headers.get("host").and_then(|host| host.to_str().ok());
                let port = host.and_then(|host| host.rsplit(':').next()?.parse().ok());
                let is_429 = matches!(fault, Some(Fault::RateLimited { .. }));
                let mut gates = shared.lock().unwrap_or_else(PoisonError::into_inner);
                gates.create(port.unwrap_or_default(), is_429);
            }
            fault
        });
        let mut servers = Vec::new();
        for _ in 0..replicas {
            servers.push(sandbox.spawn().await?);
        }
        Ok(Self {
            sandbox,
            servers,
            gates,
        })
    }

    /// Returns the base URL for a gateway.
    pub(crate) fn url(&self, replica: usize) -> String {
        self.servers[replica].base_url().to_string()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.gates().counts
    }

    /// Forgets what a gateway knew, because its process has ended or has not read a response.
    pub(crate) fn forget(&self, replica: usize) {
        let port = self.servers[replica].addr().port();
        self.gates().closed.remove(&port);
    }

    fn gates(&self) -> std::sync::MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gates {
    fn create(&mut self, port: u16, is_429: bool) {
        let now = Instant::now();
        self.counts.creates += 1;
        if let Some(closed) = self.closed.get(&port)
            && now > closed.at + IN_FLIGHT
            && now < closed.until
        {
            self.counts.before_until += 1;
        }
        if is_429 {
            self.counts.rate_limited += 1;
            let until = now + RETRY_AFTER;
            let closed = self.closed.entry(port).or_insert(Closed { at: now, until });
            if closed.until < now {
                closed.at = now;
            }
            closed.until = closed.until.max(until);
        }
    }
}

/// Chooses the fault of a request: one of about twelve has one.
fn fault(seed: u64, number: u64) -> Option<Fault> {
    let mut random = fastrand::Rng::with_seed(seed ^ (number << 20));
    let short = Duration::from_millis(random.u64(5..150));
    Some(match random.u32(0..4000) {
        0..4 => Fault::RateLimited {
            retry_after: RETRY_AFTER,
        },
        4..40 => Fault::DisconnectAfter,
        40..70 => Fault::DisconnectBefore,
        70..90 => Fault::Truncate(20),
        90..110 => Fault::StatusAfter(http_status(500)),
        110..140 => Fault::Status(http_status(503)),
        140..143 => Fault::HangAfter,
        143..350 => Fault::DelayAfter(short),
        _ => return None,
    })
}

fn http_status(code: u16) -> http::StatusCode {
    http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
}
