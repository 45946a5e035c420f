//! A settle hook that records its events.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use clerk_actor_tokens::layer::settle::{SettleEnd, SettleEvent};

/// The end of a token, its id if it is known, and the time until which it can be used.
pub(crate) type Report = (SettleEnd, Option<String>, Option<SystemTime>);

#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<Report>>>);

impl Reports {
    pub(crate) fn hook(&self) -> impl Fn(&SettleEvent) + Send + Sync + 'static {
        let Self(reports) = self.clone();
        move |event| {
            let id = event.actor_token_id().map(ToString::to_string);
            let report = (event.end(), id, event.exposed_until());
            reports.lock().unwrap().push(report);
        }
    }

    pub(crate) fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn ends(&self) -> Vec<SettleEnd> {
        self.all().into_iter().map(|(end, ..)| end).collect()
    }

    pub(crate) fn ends_with_ids(&self) -> Vec<(SettleEnd, Option<String>)> {
        self.all()
            .into_iter()
            .map(|(end, id, _)| (end, id))
            .collect()
    }
}
