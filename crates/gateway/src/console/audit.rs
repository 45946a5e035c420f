//! The audit: a search, and what could not be revoked.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use clerk_actor_tokens_policy::CallId;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    Console, Failure, filled,
    impersonations::Row,
    page,
    show::{Moment, beginning, visible},
    user::{Frame, Place, User},
};
use crate::{
    Role,
    store::{CallFilter, CallRow, LeaseFilter, LeaseState},
};

/// The rows of a page.
const ROWS: u32 = 50;
const MAX_OPEN: u32 = 200;

/// The fields of the search, as its form sends them.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Search {
    #[serde(skip_serializing_if = "String::is_empty")]
    actor: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    principal: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    operation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    end: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    since: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    until: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    before: String,
}

struct Choice {
    value: &'static str,
    text: &'static str,
    is_selected: bool,
}

fn choices(all: &[(&'static str, &'static str)], selected: &str) -> Vec<Choice> {
    let choices = all.iter().map(|(value, text)| Choice {
        value,
        text,
        is_selected: *value == selected,
    });
    choices.collect()
}

const OPERATIONS: [(&str, &str); 3] = [("", "All"), ("create", "Begin"), ("revoke", "Revoke")];
const ENDS: [(&str, &str); 9] = [
    ("", "All"),
    ("open", "In progress"),
    ("returned", "Succeeded"),
    ("refused", "Refused"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
    ("panicked", "Panicked"),
    ("interrupted", "Interrupted"),
    ("abandoned", "Abandoned"),
];

/// A call in the table.
pub(super) struct Call {
    pub(super) call: CallId,
    pub(super) at: Moment,
    pub(super) operation: String,
    pub(super) who: String,
    pub(super) via: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) result: Badge,
}

/// A word, and the class of its badge.
pub(super) struct Badge {
    pub(super) word: String,
    pub(super) detail: Option<String>,
    pub(super) class: &'static str,
}

impl Call {
    pub(super) fn of(row: &CallRow) -> Self {
        Self {
            call: row.call,
            at: Moment::from_millis(row.began_at),
            operation: operation(&row.operation),
            who: row.principal.as_deref().map_or("unknown".into(), visible),
            via: row.via.as_deref().map(visible),
            actor: row
                .actor
                .as_deref()
                .filter(|it| row.principal.as_deref() != Some(it))
                .map(visible),
            subject: row.subject.as_deref().map(visible),
            reason: row.reason.as_deref().map(beginning),
            result: result(row),
        }
    }
}

fn operation(name: &str) -> String {
    match name {
        "create" => "Begin".into(),
        "revoke" => "Revoke".into(),
        other => visible(&other.replace('_', " ")),
    }
}

fn result(row: &CallRow) -> Badge {
    let detail = row
        .rule
        .as_ref()
        .or(row.code.as_ref())
        .map(|it| visible(it));
    let (word, class) = match row.end.as_deref() {
        Some("returned") => ("Succeeded", "live"),
        Some("refused") => ("Refused", "refused"),
        Some("abandoned") => ("Not sent", "over"),
        Some(end) => match row.outcome.as_deref() {
            Some("unknown" | "applied") => ("Failed, effect unknown", "problem"),
            _ if end == "cancelled" => ("Cancelled", "over"),
            _ => ("Failed", "refused"),
        },
        None => ("In progress", "over"),
    };
    Badge {
        word: word.into(),
        detail,
        class,
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct SearchPage {
    frame: Frame,
    search: Search,
    problem: Option<&'static str>,
    operations: Vec<Choice>,
    ends: Vec<Choice>,
    is_first: bool,
    first: String,
    next: Option<String>,
    rows: Vec<Call>,
}

pub(super) async fn search(
    State(console): State<Arc<Console>>,
    user: User,
    Query(mut search): Query<Search>,
) -> Result<Response, Failure> {
    user.require(Role::View)?;
    let time = |text: &str| match text {
        "" => Ok(None),
        text => Moment::parse(text).map(|it| Some(it.as_millis())).ok_or(()),
    };
    let times = time(&search.since).and_then(|since| Ok((since, time(&search.until)?)));
    let problem = times
        .is_err()
        .then_some("Enter times as 2026-11-30T14:05, in UTC.");
    for text in [&mut search.since, &mut search.until] {
        if time(text).is_err() {
            // A field for times takes nothing else.
            text.clear();
        }
    }
    let field = |text: &str| filled(Some(text.into()));
    let (since, until) = times.unwrap_or_default();
    let filter = CallFilter {
        actor: field(&search.actor),
        subject: field(&search.subject),
        principal: field(&search.principal),
        text: field(&search.text),
        operation: field(&search.operation),
        end: field(&search.end),
        before: field(&search.before),
        limit: Some(ROWS),
        since,
        until,
    };
    let (rows, next) = match problem {
        Some(_) => (Vec::new(), None),
        None => {
            let found = console.shared.storage.calls(filter).await?;
            (found.items.iter().map(Call::of).collect(), found.next)
        }
    };
    let link = |before: &str| {
        let search = Search {
            before: before.into(),
            ..search.clone()
        };
        serde_urlencoded::to_string(search).map_err(Failure::internal)
    };
    let page_data = SearchPage {
        frame: Frame::of(&console, &user, Place::Audit)?,
        operations: choices(&OPERATIONS, &search.operation),
        ends: choices(&ENDS, &search.end),
        is_first: search.before.is_empty(),
        first: link("")?,
        next: next.map(|next| link(&next)).transpose()?,
        problem,
        rows,
        search,
    };
    let status = match problem {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    page(status, &page_data)
}

#[derive(Template)]
#[template(path = "open.html")]
struct OpenPage {
    frame: Frame,
    now: Moment,
    rows: Vec<Row>,
}

/// Shows the tokens that could not be revoked and that are not known to have expired.
pub(super) async fn open(
    State(console): State<Arc<Console>>,
    user: User,
) -> Result<Response, Failure> {
    user.require(Role::View)?;
    let filter = LeaseFilter {
        state: Some(LeaseState::Lost),
        limit: Some(MAX_OPEN),
        ..LeaseFilter::default()
    };
    let leases = console.shared.leases.list(filter).await?;
    let may_end = user.operator.may(Role::End);
    let page_data = OpenPage {
        frame: Frame::of(&console, &user, Place::Open)?,
        now: Moment::now(),
        rows: leases
            .into_iter()
            .map(|lease| Row::of(lease, may_end))
            .collect(),
    };
    page(StatusCode::OK, &page_data)
}
