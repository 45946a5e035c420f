//! The audit records every call, however it ends, and refuses creates that it cannot record.

#[cfg(feature = "metrics")]
#[path = "../../../../tests/support/measured.rs"]
mod measured;
#[path = "../../../../tests/support/probe.rs"]
mod probe;

mod availability;
mod barrier;
mod contract;
mod ends;
mod entries;
mod json_lines;
mod memory_sink;
mod metered;
mod redaction;
mod writer;
#[path = "../support"]
mod support {
    pub(crate) mod marker;
    pub(crate) mod scripted_sink;
}

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorTokenRequest, Client, ClientBuilder, CreateActorToken, Error, sandbox::Sandbox,
};
use clerk_actor_tokens_policy::audit::{
    AuditBarrierLayer, AuditLayer, End, Entry, Event, FollowUp, MemorySink,
};
use support::scripted_sink::ScriptedSink;

const SECOND: Duration = Duration::from_secs(1);

/// A client over a sandbox, with its audit.
struct Setup {
    sandbox: Sandbox,
    sink: ScriptedSink,
    audit: AuditLayer<ScriptedSink>,
    client: Client,
}

impl Setup {
    fn new() -> Self {
        let sink = ScriptedSink::new();
        Self::with(AuditLayer::new(sink.clone()), sink)
    }

    fn with(audit: AuditLayer<ScriptedSink>, sink: ScriptedSink) -> Self {
        let sandbox = Sandbox::new();
        let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
            .on_settle(audit.on_settle())
            .observe_layer(audit.clone())
            .call_layer(AuditBarrierLayer::new())
            .build()
            .unwrap();
        Self {
            sandbox,
            sink,
            audit,
            client,
        }
    }

    fn words(&self) -> Vec<String> {
        words(&self.sink.memory)
    }

    /// Creates a token and claims it.
    async fn claim(&self) -> Result<String, Error> {
        let token = self.client.send(create()).await?;
        token.expose_url();
        Ok(token.id().to_string())
    }
}

fn create() -> ActorTokenRequest {
    CreateActorToken::new("user_subject", Actor::new("user_admin")).into()
}

/// Returns each entry in a word or two.
fn words(sink: &MemorySink) -> Vec<String> {
    sink.entries().iter().map(word).collect()
}

fn word(entry: &Entry) -> String {
    let word = match &entry.event {
        Event::Begin(_) => "begin".to_owned(),
        Event::Sending => "sending".to_owned(),
        Event::End(End::Abandoned) => "abandoned".to_owned(),
        Event::End(End::Refused { code, .. }) => format!("refused {}", code.as_ref().unwrap()),
        Event::End(End::Returned { .. }) => "returned".to_owned(),
        Event::End(End::Failed { effect, .. }) => format!("failed {}", effect.outcome),
        Event::End(End::Cancelled(effect)) => format!("cancelled {}", effect.outcome),
        Event::End(End::Panicked(effect)) => format!("panicked {}", effect.outcome),
        Event::FollowUp(FollowUp::Settled { settled, .. }) => format!("settled {settled}"),
        Event::FollowUp(event) => format!("{event:?}"),
        other => format!("{other:?}"),
    };
    match entry.late {
        true => format!("late {word}"),
        false => word,
    }
}
