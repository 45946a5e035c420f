//! The quota and the pause, which stop all creates.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use serde::Deserialize;

use super::{
    Console, Failure, filled, page,
    session::Notice,
    show::{Moment, visible},
    user::{Frame, Place, User},
};
use crate::{Role, store::Flag};

/// The longest reason, in characters.
const MAX_REASON: usize = 200;

/// A setting in force: since when, by whom, and why.
struct Set {
    since: Moment,
    by: Option<String>,
    reason: Option<String>,
}

impl From<Flag> for Set {
    fn from(flag: Flag) -> Self {
        Self {
            since: Moment::from_millis(flag.since),
            by: flag.by.as_deref().map(visible),
            reason: flag.reason.as_deref().map(visible),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ReopenForm {
    form: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct PauseForm {
    form: String,
    reason: Option<String>,
    set: PauseTo,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PauseTo {
    Paused,
    Resumed,
}

#[derive(Template)]
#[template(path = "quota.html")]
struct QuotaPage {
    frame: Frame,
    may_reopen: bool,
    used: u64,
    limit: Option<u64>,
    closed: Option<Set>,
    resets_at: Moment,
    now: Moment,
}

pub(super) async fn quota(
    State(console): State<Arc<Console>>,
    user: User,
) -> Result<Response, Failure> {
    user.require_any(Place::Quota.roles())?;
    let status = console.shared.parts.quota.status();
    let page_data = QuotaPage {
        frame: Frame::of(&console, &user, Place::Quota)?,
        may_reopen: user.operator.may(Role::Pause),
        used: status.used,
        limit: status.limit,
        closed: status.closed.map(Set::from),
        resets_at: status.resets_at.into(),
        now: Moment::now(),
    };
    page(StatusCode::OK, &page_data)
}

pub(super) async fn reopen(
    State(console): State<Arc<Console>>,
    user: User,
    Form(form): Form<ReopenForm>,
) -> Result<Response, Failure> {
    user.require(Role::Pause)?;
    if !console.sessions.take_form(user.session, &form.form) {
        return Err(Failure::Repeated);
    }
    let reason = filled(form.reason).map(|it| it.chars().take(MAX_REASON).collect());
    console
        .shared
        .parts
        .quota
        .reopen(user.principal(), reason)
        .await?;
    let text = "The quota is open. The next impersonation shows whether the API accepts it.".into();
    console.sessions.leave_notice(
        user.session,
        Notice {
            is_problem: false,
            text,
        },
    );
    Ok(Redirect::to("/console/quota").into_response())
}

#[derive(Template)]
#[template(path = "pause.html")]
struct PausePage {
    frame: Frame,
    may_pause: bool,
    paused: Option<Set>,
    problem: Option<&'static str>,
    reason: String,
}

fn pause_page(
    console: &Console,
    user: &User,
    reason: String,
    problem: Option<&'static str>,
) -> Result<Response, Failure> {
    let page_data = PausePage {
        frame: Frame::of(console, user, Place::Pause)?,
        may_pause: user.operator.may(Role::Pause),
        paused: console.shared.parts.pause.get().map(Set::from),
        problem,
        reason,
    };
    let status = match problem {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    page(status, &page_data)
}

pub(super) async fn pause(
    State(console): State<Arc<Console>>,
    user: User,
) -> Result<Response, Failure> {
    user.require_any(Place::Pause.roles())?;
    pause_page(&console, &user, String::new(), None)
}

pub(super) async fn set_pause(
    State(console): State<Arc<Console>>,
    user: User,
    Form(form): Form<PauseForm>,
) -> Result<Response, Failure> {
    user.require(Role::Pause)?;
    let reason = filled(form.reason);
    let is_paused = form.set == PauseTo::Paused;
    if is_paused {
        let problem = match reason.as_ref().map_or(0, |it| it.chars().count()) {
            0 => Some("Say why, so that colleagues know."),
            1..=MAX_REASON => None,
            _ => Some("The reason has at most 200 characters."),
        };
        if problem.is_some() {
            return pause_page(&console, &user, reason.unwrap_or_default(), problem);
        }
    }
    if !console.sessions.take_form(user.session, &form.form) {
        return Err(Failure::Repeated);
    }
    let (pause, storage) = (&console.shared.parts.pause, &console.shared.storage);
    let text = match is_paused {
        true => {
            pause.pause(storage, user.principal(), reason).await?;
            "Paused. No impersonation can begin; ending still works."
        }
        false => {
            pause.resume(storage, user.principal(), None).await?;
            "Resumed. Impersonations can begin again."
        }
    };
    console.sessions.leave_notice(
        user.session,
        Notice {
            is_problem: false,
            text: text.into(),
        },
    );
    Ok(Redirect::to("/console/pause").into_response())
}
