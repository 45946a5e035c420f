//! A client over a sandbox, and the ends of its tokens.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::time::Duration;

use clerk_actor_tokens::{
    Client, ClientBuilder,
    client::{CustomTransport, Layers},
    layer::settle::SettleEnd,
    sandbox::{Sandbox, SandboxTransport},
};

use super::reports::Reports;

/// Longer than settling takes; the clock is paused.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
    pub(crate) reports: Reports,
}

type Builder = ClientBuilder<Layers, CustomTransport<SandboxTransport>>;

pub(crate) fn configured(configure: impl FnOnce(Builder) -> Builder) -> Fixture {
    let (sandbox, reports) = (Sandbox::new(), Reports::default());
    let builder = ClientBuilder::over(sandbox.secret_key(), sandbox.transport());
    let builder = configure(builder).on_settle(reports.hook());
    Fixture {
        sandbox,
        client: builder.build().unwrap(),
        reports,
    }
}

impl Fixture {
    pub(crate) async fn drained(&self) -> Vec<SettleEnd> {
        assert!(self.client.drain(LONG).await.is_complete());
        self.reports.ends()
    }

    pub(crate) fn minted(&self) -> usize {
        self.sandbox.ledger().minted().len()
    }

    pub(crate) fn live(&self) -> usize {
        self.sandbox.ledger().pending().count()
    }
}
