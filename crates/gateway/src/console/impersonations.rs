//! Who is whom: the list of impersonations, and how one ends.

use std::{sync::Arc, time::SystemTime};

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use clerk_actor_tokens_policy::CallId;
use http::StatusCode;
use serde::Deserialize;

use super::{
    Console, Failure, filled, page,
    session::Notice,
    show::{Moment, beginning, duration, visible},
    user::{Frame, Place, User},
};
use crate::{
    LeaseEnd, Role,
    store::{Lease, LeaseFilter, LeaseState},
};

/// The most rows of a page.
const ROWS: u32 = 100;

/// A lease as pages show it.
pub(super) struct Row {
    pub(super) call: CallId,
    pub(super) subject: String,
    pub(super) actor: String,
    pub(super) principal: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) since: Moment,
    pub(super) until: Option<Moment>,
    /// When a session ends at the latest, if that is later than the link.
    pub(super) session_until: Option<Moment>,
    pub(super) left: Option<String>,
    pub(super) state: Badge,
    pub(super) token: Option<String>,
    pub(super) ended_at: Option<Moment>,
    pub(super) can_end: bool,
}

/// How a lease is: a word, what it means, and the class of its badge.
#[derive(Clone, Copy)]
pub(super) struct Badge {
    pub(super) word: &'static str,
    pub(super) meaning: &'static str,
    pub(super) class: &'static str,
}

impl Badge {
    fn of(lease: &Lease, is_link_live: bool) -> Self {
        let (word, meaning, class) = match lease.state {
            LeaseState::Returned if is_link_live => {
                ("Link open", "The link can be used, or was used.", "live")
            }
            LeaseState::Returned => (
                "Session possible",
                "The link has expired. If it was used, its session may go on.",
                "live",
            ),
            LeaseState::Accepted => (
                "Signed in",
                "The link was used, and a session may be live.",
                "live",
            ),
            LeaseState::Lost => (
                "Could not be revoked",
                "The gateway could not revoke the token yet.",
                "problem",
            ),
            LeaseState::Revoked => ("Revoked", "The link cannot be used.", "over"),
            LeaseState::SessionEnded => ("Session ended", "An operator ended it.", "over"),
            LeaseState::Expired => ("Expired", "Neither link nor session can be used.", "over"),
        };
        Self {
            word,
            meaning,
            class,
        }
    }
}

impl Row {
    pub(super) fn of(lease: Lease, may_end: bool) -> Self {
        let now = SystemTime::now();
        let is_link_live = lease.live_until.is_none_or(|until| until > now);
        let state = Badge::of(&lease, is_link_live);
        let until = match lease.state {
            LeaseState::Returned | LeaseState::Lost if is_link_live => lease.live_until,
            _ => lease.session_until.or(lease.live_until),
        };
        let until = until.map(Moment::from);
        let session_until = lease.session_until.map(Moment::from);
        let is_over = state.class == "over";
        Self {
            call: lease.call,
            subject: visible(&lease.subject),
            actor: visible(&lease.actor),
            principal: lease
                .principal
                .as_deref()
                .filter(|it| *it != lease.actor)
                .map(visible),
            reason: lease.reason.as_deref().map(beginning),
            since: lease.created_at.into(),
            until,
            session_until: session_until.filter(|it| Some(*it) > until && !is_over),
            left: until.and_then(Moment::left).map(duration),
            state,
            token: lease.actor_token_id.map(|it| visible(it.as_ref())),
            ended_at: lease.ended_at.map(Into::into),
            can_end: may_end && !is_over,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.class == "over" || self.until.is_some_and(|until| until.left().is_none())
    }
}

#[derive(Default, Deserialize)]
pub(super) struct ListFilter {
    actor: Option<String>,
    subject: Option<String>,
    show: Option<String>,
}

#[derive(Template)]
#[template(path = "impersonations.html")]
struct ListPage {
    frame: Frame,
    actor: String,
    subject: String,
    is_filtered: bool,
    shows_all: bool,
    may_begin: bool,
    is_cut: bool,
    now: Moment,
    rows: Vec<Row>,
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    user: User,
    Query(filter): Query<ListFilter>,
) -> Result<Response, Failure> {
    user.require(Role::View)?;
    let (actor, subject) = (filled(filter.actor), filled(filter.subject));
    let shows_all = filter.show.as_deref() == Some("all");
    let mut wanted = match shows_all {
        true => LeaseFilter::default(),
        false => LeaseFilter::live(),
    };
    wanted.limit = Some(ROWS);
    (wanted.actor, wanted.subject) = (actor.clone(), subject.clone());
    let leases = console.shared.leases.list(wanted).await?;
    let is_cut = leases.len() >= ROWS as usize;
    let may_end = user.operator.may(Role::End);
    let rows = leases.into_iter().map(|lease| Row::of(lease, may_end));
    let rows = rows.filter(|row| shows_all || !row.is_over());
    let page_data = ListPage {
        frame: Frame::of(&console, &user, Place::Impersonations)?,
        is_filtered: actor.is_some() || subject.is_some(),
        actor: actor.unwrap_or_default(),
        subject: subject.unwrap_or_default(),
        shows_all,
        may_begin: user.operator.may(Role::Impersonate),
        is_cut,
        now: Moment::now(),
        rows: rows.collect(),
    };
    page(StatusCode::OK, &page_data)
}

#[derive(Template)]
#[template(path = "end.html")]
struct EndPage {
    frame: Frame,
    row: Row,
    may_view: bool,
}

async fn find(console: &Console, call: CallId) -> Result<Lease, Failure> {
    let filter = LeaseFilter {
        call: Some(call),
        ..LeaseFilter::default()
    };
    let leases = console.shared.leases.list(filter).await?;
    leases.into_iter().next().ok_or(Failure::NotFound)
}

pub(super) async fn confirm(
    State(console): State<Arc<Console>>,
    user: User,
    Path(call): Path<CallId>,
) -> Result<Response, Failure> {
    user.require(Role::End)?;
    let lease = find(&console, call).await?;
    let page_data = EndPage {
        frame: Frame::of(&console, &user, Place::Impersonations)?,
        row: Row::of(lease, true),
        may_view: user.operator.may(Role::View),
    };
    page(StatusCode::OK, &page_data)
}

#[derive(Deserialize)]
pub(super) struct EndForm {
    form: String,
    scope: Scope,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    Token,
    Session,
}

pub(super) async fn end(
    State(console): State<Arc<Console>>,
    user: User,
    Path(call): Path<CallId>,
    Form(form): Form<EndForm>,
) -> Result<Response, Failure> {
    user.require(Role::End)?;
    let lease = find(&console, call).await?;
    if !console.sessions.take_form(user.session, &form.form) {
        return Err(Failure::Repeated);
    }
    let filter = LeaseFilter {
        call: Some(call),
        ..LeaseFilter::default()
    };
    let leases = console.shared.leases.clone();
    let principal = user.principal();
    // A task, so that a browser that disconnects does not stop it halfway.
    let ended = tokio::spawn(async move {
        leases
            .end(filter, form.scope == Scope::Session, &principal)
            .await
    });
    let ended = ended.await.map_err(Failure::internal)??;
    let ended = ended.into_iter().next().ok_or(Failure::NotFound)?;
    let subject = visible(&lease.subject);
    let (is_problem, text) = match ended.end {
        LeaseEnd::Revoked => (false, format!("The link to {subject} is revoked.")),
        LeaseEnd::SessionEnded => (
            false,
            format!("The link to {subject} is used up, and its session has ended."),
        ),
        LeaseEnd::Accepted => (
            true,
            format!(
                "The link to {subject} was used before it could be revoked, so a session may be live. End the session, too."
            ),
        ),
        LeaseEnd::Failed => {
            let why = ended.error.as_deref().map(visible).unwrap_or_default();
            (
                true,
                format!("The impersonation of {subject} could not be ended: {why}."),
            )
        }
    };
    console
        .sessions
        .leave_notice(user.session, Notice { is_problem, text });
    let next = match (ended.end, user.operator.may(Role::View)) {
        (LeaseEnd::Accepted | LeaseEnd::Failed, _) | (_, false) => {
            format!("/console/impersonations/{call}/end")
        }
        _ => "/console/impersonations".into(),
    };
    Ok(Redirect::to(&next).into_response())
}
