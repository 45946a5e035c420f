//! The body of a response, frame by frame.

use std::{
    collections::VecDeque,
    future::Future,
    panic,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use clerk_actor_tokens::BoxError;
use http_body::Frame;

use super::{Content, Delay, Effect, End, Exchange, FOREIGN, ledger::Entry};

pub(crate) struct PeerBody {
    frames: VecDeque<Bytes>,
    delay: Delay,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    end: End,
    entry: Entry,
}

impl PeerBody {
    pub(super) fn new(plan: Exchange, entry: Entry) -> Self {
        let id = match plan.content {
            Content::Foreign => format!("{}{FOREIGN}", entry.id()),
            _ => entry.id(),
        };
        let text = plan.content.text(entry.kind(), &id);
        let text = &text.as_bytes()[..text.len() * plan.length / 1000];
        let frames = text.chunks(text.len().div_ceil(plan.frames.max(1)).max(1));
        Self {
            frames: frames.map(Bytes::copy_from_slice).collect(),
            delay: plan.before_frame,
            waiting: None,
            end: plan.end,
            entry,
        }
    }
}

impl http_body::Body for PeerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let delay = self.delay;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(delay.wait()));
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.entry.reach(Effect::WithBody);
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if self.end != End::Hang {
            self.entry.end();
        }
        match self.end {
            End::Complete => Poll::Ready(None),
            End::Fail => Poll::Ready(Some(Err(
                "the connection was lost within the response".into()
            ))),
            End::Hang => {
                self.waiting = Some(Box::pin(std::future::pending()));
                Poll::Pending
            }
            End::Panic => panic::resume_unwind(Box::new("the transport's body")),
        }
    }
}
