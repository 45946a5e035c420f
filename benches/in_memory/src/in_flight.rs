//! Many concurrent creates.

use std::{
    hint::black_box,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use clerk_actor_tokens::{ActorTokenRequest, layer::SettleLayer};
use http::StatusCode;
use tokio::runtime::Runtime;
use tower_service::Service;

use crate::{
    Calls, floor,
    samples::{ADMIN_ID, BASE_URL, LIFE_SECONDS, MINTED, SECRET_KEY, USER_ID},
    stack::{builder, create},
    transport::{Gated, InMemory},
};

#[derive(Clone, Copy, Debug)]
pub enum Caller {
    Floor,
    Stack,
    Client,
}

type Call = Pin<Box<dyn Future<Output = ()>>>;

/// Concurrent creates over a transport that responds when its gate is open.
pub struct InFlight {
    runtime: Runtime,
    open: Arc<AtomicBool>,
    call: Box<dyn FnMut() -> Call>,
    calls: Vec<Call>,
}

impl InFlight {
    /// Allocates for `most` concurrent creates.
    pub fn new(caller: Caller, most: usize) -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let transport = Gated {
            inner: InMemory::responding(StatusCode::OK, MINTED),
            open: Arc::clone(&open),
        };
        Self {
            runtime: crate::runtime(),
            open,
            call: calls(caller, transport, most),
            calls: Vec::with_capacity(most),
        }
    }

    /// Starts creates, which stay pending.
    pub fn begin(&mut self, calls: usize) {
        let _runtime = self.runtime.enter();
        self.open.store(false, Relaxed);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..calls {
            let mut call = (self.call)();
            assert!(call.as_mut().poll(&mut cx).is_pending());
            self.calls.push(call);
        }
    }

    /// Completes all creates.
    pub fn end(&mut self) {
        let _runtime = self.runtime.enter();
        self.open.store(true, Relaxed);
        let mut cx = Context::from_waker(Waker::noop());
        for mut call in self.calls.drain(..) {
            assert!(call.as_mut().poll(&mut cx).is_ready());
        }
    }
}

fn calls(caller: Caller, transport: Gated, most: usize) -> Box<dyn FnMut() -> Call> {
    let settle = SettleLayer::new().max_creates(most);
    match caller {
        Caller::Floor => {
            let client = Rc::new(floor::Client {
                transport,
                base_url: BASE_URL.to_owned(),
                secret_key: SECRET_KEY.to_owned(),
            });
            Box::new(move || {
                let client = Rc::clone(&client);
                Box::pin(async move {
                    let created = client.create(USER_ID, ADMIN_ID, LIFE_SECONDS).await;
                    black_box(created.expect("a token").url.as_deref());
                })
            })
        }
        Caller::Stack => {
            let stack = builder(transport).settle(settle).service();
            let mut service = stack.expect("a stack");
            // Over this transport the service is always ready.
            Box::new(move || {
                let created = service.call(ActorTokenRequest::create(create()));
                Box::pin(async move {
                    let token = created.await.expect("a token");
                    black_box(token.expose_url());
                })
            })
        }
        Caller::Client => {
            let client = builder(transport).settle(settle).build();
            let client = client.expect("a client");
            Box::new(move || {
                let client = client.clone();
                Box::pin(async move {
                    let token = client.create(create()).await.expect("a token");
                    black_box(token.expose_url());
                })
            })
        }
    }
}

/// Returns calls of which `at_once` are in flight together.
pub(crate) fn in_flight(caller: Caller, at_once: usize) -> Calls {
    let mut in_flight = InFlight::new(caller, at_once);
    Box::new(move |_: &Runtime, calls| {
        for _ in 0..calls as usize / at_once {
            in_flight.begin(at_once);
            in_flight.end();
        }
    })
}
