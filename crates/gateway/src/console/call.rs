//! A call of the audit, with its entries as a timeline.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use clerk_actor_tokens_policy::{
    CallId,
    audit::{Asked, Effect, End, Entry, Event, FollowUp},
};
use http::StatusCode;

use super::{
    Console, Failure,
    audit::Call,
    impersonations::Row,
    page,
    show::{Moment, duration, visible},
    user::{Frame, Place, User},
};
use crate::{Role, store::LeaseFilter};

/// An entry of the timeline.
struct Step {
    at: Moment,
    is_late: bool,
    title: String,
    facts: Vec<(&'static str, String)>,
    class: &'static str,
}

#[derive(Template)]
#[template(path = "call.html")]
struct CallPage {
    frame: Frame,
    call: Call,
    id: CallId,
    reason: Option<String>,
    policy: Option<String>,
    token: Option<String>,
    lease: Option<Row>,
    steps: Vec<Step>,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    user: User,
    Path(call): Path<CallId>,
) -> Result<Response, Failure> {
    user.require(Role::View)?;
    let detail = console
        .shared
        .storage
        .call(call)
        .await?
        .ok_or(Failure::NotFound)?;
    let filter = LeaseFilter {
        call: Some(call),
        ..LeaseFilter::default()
    };
    let lease = console.shared.leases.list(filter).await?.into_iter().next();
    let row = &detail.row;
    let page_data = CallPage {
        frame: Frame::of(&console, &user, Place::Audit)?,
        call: Call::of(row),
        id: call,
        reason: row.reason.as_deref().map(visible),
        policy: row.policy.as_deref().map(visible),
        token: row.actor_token_id.as_ref().map(|it| visible(it.as_ref())),
        lease: lease.map(|lease| Row::of(lease, user.operator.may(Role::End))),
        steps: detail.entries.iter().map(Step::of).collect(),
    };
    page(StatusCode::OK, &page_data)
}

/// The names and values of an entry.
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    fn add(&mut self, name: &'static str, value: Option<impl ToString>) {
        let value = value.map(|value| (name, visible(&value.to_string())));
        self.0.extend(value);
    }
}

impl Step {
    fn of(entry: &Entry) -> Self {
        let mut facts = Facts(Vec::new());
        let (title, class) = match &entry.event {
            Event::Begin(begin) => {
                let principal = begin.principal.as_ref();
                facts.add("Asked by", principal.map(|it| &it.id));
                facts.add(
                    "Signed in by",
                    principal.map(|it| &it.via).filter(|it| !it.is_empty()),
                );
                let groups = principal.map(|it| it.groups.join(", "));
                facts.add("Groups", groups.filter(|it| !it.is_empty()));
                facts.add("Policy", begin.policy.as_ref());
                match &begin.asked {
                    Asked::Create {
                        lifetime,
                        session_lifetime,
                        ..
                    } => {
                        facts.add("Link asked for", lifetime.map(duration));
                        facts.add("Session asked for", session_lifetime.map(duration));
                    }
                    Asked::Revoke { actor_token_id } => facts.add("Token", Some(actor_token_id)),
                    _ => {}
                }
                ("Asked", "over")
            }
            Event::Sending => ("Sent to the API", "over"),
            Event::End(end) => match end {
                End::Returned { actor_token_id, .. } => {
                    facts.add("Token", Some(actor_token_id));
                    ("Succeeded", "live")
                }
                End::Refused { status, code, rule } => {
                    facts.add("Rule", rule.as_ref());
                    facts.add("Code", code.as_ref());
                    facts.add("Status", status.as_ref());
                    ("Refused by the gateway", "refused")
                }
                End::Failed {
                    error,
                    status,
                    code,
                    trace_id,
                    effect,
                } => {
                    facts.add("Error", Some(error));
                    facts.add("Code", code.as_ref());
                    facts.add("Status", status.as_ref());
                    facts.add("Clerk’s trace id", trace_id.as_ref());
                    outcome(effect, &mut facts);
                    ("Failed", "problem")
                }
                End::Cancelled(effect) => {
                    outcome(effect, &mut facts);
                    ("Cancelled by the caller", "refused")
                }
                End::Panicked(effect) => {
                    outcome(effect, &mut facts);
                    ("Failed inside the gateway", "problem")
                }
                End::Interrupted(effect) => {
                    outcome(effect, &mut facts);
                    ("The gateway ended before the call did", "problem")
                }
                _ => ("Given up before it was sent", "over"),
            },
            Event::FollowUp(follow_up) => match follow_up {
                FollowUp::Withheld => ("The token was withheld, and is revoked", "problem"),
                FollowUp::Settled {
                    settled,
                    actor_token_id,
                    ..
                } => {
                    facts.add("Result", Some(settled));
                    facts.add("Token", actor_token_id.as_ref());
                    ("A lost token was settled", "over")
                }
                FollowUp::Accepted => ("The link was used", "live"),
                FollowUp::SessionEnded => ("The session was ended", "over"),
                FollowUp::ExpiredUnused => ("The link expired unused", "over"),
                _ => ("A fact that this version does not know", "over"),
            },
            Event::Note(note) => {
                facts.add("By", note.principal.as_ref().map(|it| &it.id));
                facts.add("Detail", note.detail.as_ref());
                let title = visible(&note.note.replace('_', " "));
                return Self {
                    at: entry.at.into(),
                    is_late: entry.late,
                    title,
                    facts: facts.0,
                    class: "over",
                };
            }
            _ => ("An event that this version does not know", "over"),
        };
        Self {
            at: entry.at.into(),
            is_late: entry.late,
            title: title.into(),
            facts: facts.0,
            class,
        }
    }
}

fn outcome(effect: &Effect, facts: &mut Facts) {
    facts.add("Effect", Some(effect.outcome));
    facts.add("Attempts", Some(effect.attempts));
    facts.add("Token", effect.actor_token_id.as_ref());
}
