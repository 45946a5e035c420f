//! [`SandboxTransport`], the sandbox behind the wire protocol.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{Fault, Sandbox, SandboxBody, accept, fault};
use crate::server::{ActorTokensApi, answer, collect::Collect};

type Api = ActorTokensApi<Sandbox>;
type ApiCall = <Api as Service<Request<Full<Bytes>>>>::Future;

/// The sandbox behind the wire protocol, as a transport for a
/// [`ClientBuilder`](crate::ClientBuilder::transport) or anything else that sends requests.
///
/// A connection that breaks is an [`io::Error`] of the kind `ConnectionReset`.
#[derive(Clone, Debug)]
pub struct SandboxTransport {
    sandbox: Sandbox,
    api: Api,
}

impl Sandbox {
    /// The sandbox behind the wire protocol, with the key check and the scripted faults, in process.
    #[must_use]
    pub fn transport(&self) -> SandboxTransport {
        SandboxTransport {
            sandbox: self.clone(),
            api: ActorTokensApi::new(self.clone(), self.secret_key()),
        }
    }

    /// Counts a request, and takes the fault that it is to meet.
    fn begin_request(&self, head: &Parts) -> Option<Fault> {
        let (number, choose) = {
            let mut state = self.state();
            state.requests += 1;
            if let Some(fault) = state.faults.pop_front() {
                return Some(fault);
            }
            (state.requests, state.faults_by.clone()?)
        };
        // Called without the lock, so that it may look at the sandbox, and may panic.
        choose(number, head)
    }
}

impl<B: http_body::Body> Service<Request<B>> for SandboxTransport {
    type Response = Response<SandboxBody>;
    type Error = io::Error;
    type Future = ResponseFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        // Links are opened by browsers: they are no requests to the API, and meet no faults.
        if let Some(response) = accept::answer(&self.sandbox, &head) {
            let response = Some(response);
            return ResponseFuture {
                api: None,
                fault: None,
                state: State::Answered { response },
            };
        }
        ResponseFuture {
            api: Some(self.api.clone()),
            fault: self.sandbox.begin_request(&head),
            state: State::Reading {
                body: Collect::new(body),
                head: Some(head),
            },
        }
    }
}

pin_project! {
    /// A request on its way through the sandbox and the fault that it meets.
    pub struct ResponseFuture<B> {
        api: Option<Api>,
        fault: Option<Fault>,
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<B> {
        Reading {
            #[pin]
            body: Collect<B>,
            head: Option<Parts>,
        },
        Delayed {
            #[pin]
            until: Sleep,
            request: Option<Request<Full<Bytes>>>,
        },
        Serving {
            #[pin]
            call: ApiCall,
        },
        Late {
            #[pin]
            until: Sleep,
            response: Option<Response<Full<Bytes>>>,
        },
        Answered {
            response: Option<Response<Full<Bytes>>>,
        },
        Hanging,
    }
}

impl<B: http_body::Body> Future for ResponseFuture<B> {
    type Output = io::Result<Response<SandboxBody>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Reading { body, head } => {
                    // Read whatever happens then, as a server does that has got the request.
                    let body = ready!(body.poll(cx));
                    let head = head.take().expect("polled after it was ready");
                    match body {
                        Ok(body) => {
                            let request = Request::from_parts(head, Full::new(body));
                            match before(this.fault.as_ref(), request) {
                                Before::Serve(request) => serve(this.api, request),
                                Before::State(state) => state,
                                Before::Disconnect => return Poll::Ready(Err(disconnected())),
                            }
                        }
                        Err(refusal) => State::Answered {
                            response: Some(refusal.into_response()),
                        },
                    }
                }
                StateProjection::Delayed { until, request } => {
                    ready!(until.poll(cx));
                    serve(this.api, request.take().expect("polled after it was ready"))
                }
                StateProjection::Serving { call } => {
                    let Ok(response) = ready!(call.poll(cx));
                    match (this.fault.take(), response) {
                        (Some(Fault::HangAfter), _) => State::Hanging,
                        (Some(Fault::DelayAfter(time)), response) => State::Late {
                            until: tokio::time::sleep(time),
                            response: Some(response),
                        },
                        (fault, response) => return Poll::Ready(after(fault, response)),
                    }
                }
                StateProjection::Late { until, response } => {
                    ready!(until.poll(cx));
                    State::Answered {
                        response: response.take(),
                    }
                }
                StateProjection::Answered { response } => {
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(whole(response)));
                }
                StateProjection::Hanging => return Poll::Pending,
            };
            this.state.set(next);
        }
    }
}

/// What a fault does before anything is applied.
enum Before<B> {
    Serve(Request<Full<Bytes>>),
    State(State<B>),
    Disconnect,
}

fn before<B>(fault: Option<&Fault>, request: Request<Full<Bytes>>) -> Before<B> {
    match fault {
        Some(Fault::DisconnectBefore) => Before::Disconnect,
        Some(Fault::HangBefore) => Before::State(State::Hanging),
        Some(Fault::Delay(time)) => Before::State(State::Delayed {
            until: tokio::time::sleep(*time),
            request: Some(request),
        }),
        other => match other.and_then(Fault::answer) {
            Some(response) => Before::State(State::Answered {
                response: Some(response),
            }),
            None => Before::Serve(request),
        },
    }
}

fn serve<B>(api: &mut Option<Api>, request: Request<Full<Bytes>>) -> State<B> {
    let api = api.as_mut().expect("polled after it was ready");
    State::Serving {
        call: api.call(request),
    }
}

/// What comes back after everything was applied.
fn after(
    fault: Option<Fault>,
    response: Response<Full<Bytes>>,
) -> io::Result<Response<SandboxBody>> {
    Ok(match fault {
        Some(Fault::DisconnectAfter) => return Err(disconnected()),
        Some(Fault::StatusAfter(status)) => whole(fault::of_status(status)),
        Some(Fault::Body(body)) => whole(answer::json(StatusCode::OK, body)),
        Some(Fault::Truncate(kept)) => {
            response.map(|body| SandboxBody::truncated(in_one_piece(body), kept))
        }
        Some(Fault::Pause { after, time }) => {
            response.map(|body| SandboxBody::paused(in_one_piece(body), after, time))
        }
        _ => whole(response),
    })
}

fn whole(response: Response<Full<Bytes>>) -> Response<SandboxBody> {
    response.map(|body| SandboxBody::whole(in_one_piece(body)))
}

fn in_one_piece(body: Full<Bytes>) -> Bytes {
    body.into_inner().unwrap_or_default()
}

fn disconnected() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
