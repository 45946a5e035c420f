//! Begins an impersonation: the form, and the request that creates the token and opens its link.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use clerk_actor_tokens::{Actor, ActorToken, ActorTokenRequest, CreateActorToken, Error};
use clerk_actor_tokens_policy::{Principal, Reason};
use http::{HeaderValue, StatusCode, header::LOCATION};
use serde::Deserialize;

use super::{
    Console, Failure, page,
    show::{duration, visible},
    user::{Frame, Place, User},
};
use crate::Role;

/// The longest subject and reason, in characters.
const MAX_SUBJECT: usize = 128;
const MAX_REASON: usize = 1000;

/// The lifetimes that the form offers, in seconds, as far as the policy allows them.
const CHOICES: [u32; 11] = [
    60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400,
];

/// The demands of the policy, read from its rules.
#[derive(Deserialize)]
struct Demands {
    version: String,
    lifetime: Limits,
    session: Limits,
    reason: Option<ReasonRule>,
}

#[derive(Clone, Copy, Deserialize)]
struct Limits {
    default: u32,
    longest: u32,
}

#[derive(Deserialize)]
struct ReasonRule {
    via: Option<Vec<String>>,
    #[serde(default)]
    min_length: usize,
    pattern: Option<String>,
}

impl Demands {
    fn of(console: &Console) -> Result<Self, Failure> {
        let policy = console.shared.parts.policy.current();
        let rules = serde_json::to_value(&*policy).map_err(Failure::internal)?;
        serde_json::from_value(rules).map_err(Failure::internal)
    }

    /// Returns the rule that applies to principals of the console.
    fn reason(&self) -> Option<&ReasonRule> {
        let rule = self.reason.as_ref()?;
        let applies = rule
            .via
            .as_ref()
            .is_none_or(|via| via.iter().any(|it| it == "console"));
        applies.then_some(rule)
    }
}

impl ReasonRule {
    fn in_words(&self) -> String {
        let mut text = String::from("Required.");
        if self.min_length > 1 {
            text += &format!(" At least {} characters.", self.min_length);
        }
        if let Some(pattern) = &self.pattern {
            text += &format!(" It must match the pattern {}.", visible(pattern));
        }
        text
    }
}

/// A lifetime that can be chosen.
struct Choice {
    seconds: u32,
    text: String,
    is_selected: bool,
}

impl Limits {
    fn choices(self, selected: Option<u32>) -> Vec<Choice> {
        let selected = selected.unwrap_or(self.default);
        let mut choices: Vec<_> = CHOICES
            .into_iter()
            .filter(|it| *it <= self.longest)
            .collect();
        choices.extend([self.default, self.longest]);
        choices.sort_unstable();
        choices.dedup();
        let choices = choices.into_iter().map(|seconds| Choice {
            seconds,
            text: match seconds == self.default {
                true => format!("{} (usual)", duration(Duration::from_secs(seconds.into()))),
                false => duration(Duration::from_secs(seconds.into())),
            },
            is_selected: seconds == selected,
        });
        choices.collect()
    }

    fn check(self, seconds: u32) -> Option<String> {
        let longest = duration(Duration::from_secs(self.longest.into()));
        let is_wrong = seconds == 0 || seconds > self.longest;
        is_wrong.then(|| format!("Choose at most {longest}."))
    }
}

#[derive(Default, Deserialize)]
pub(super) struct BeginForm {
    #[serde(default)]
    form: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    reason: String,
    lifetime: Option<u32>,
    session: Option<u32>,
}

/// The problem of each field, and of the whole form.
#[derive(Default)]
struct Problems {
    whole: Option<Problem>,
    subject: Option<String>,
    reason: Option<String>,
    lifetime: Option<String>,
    session: Option<String>,
}

struct Problem {
    title: &'static str,
    text: String,
    rule: Option<String>,
}

impl Problems {
    fn is_empty(&self) -> bool {
        let fields = [&self.subject, &self.reason, &self.lifetime, &self.session];
        self.whole.is_none() && fields.into_iter().all(Option::is_none)
    }
}

#[derive(Template)]
#[template(path = "begin.html")]
struct BeginPage {
    frame: Frame,
    actor: String,
    policy: String,
    reason_rule: Option<String>,
    lifetimes: Vec<Choice>,
    sessions: Vec<Choice>,
    form: BeginForm,
    problems: Problems,
}

fn begin_page(
    console: &Console,
    user: &User,
    status: StatusCode,
    form: BeginForm,
    problems: Problems,
) -> Result<Response, Failure> {
    let demands = Demands::of(console)?;
    let page_data = BeginPage {
        frame: Frame::of(console, user, Place::Begin)?,
        actor: visible(&user.operator.actor),
        policy: visible(&demands.version),
        reason_rule: demands.reason().map(ReasonRule::in_words),
        lifetimes: demands.lifetime.choices(form.lifetime),
        sessions: demands.session.choices(form.session),
        form,
        problems,
    };
    page(status, &page_data)
}

#[derive(Deserialize)]
pub(super) struct Prefilled {
    #[serde(default)]
    subject: String,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    user: User,
    Query(prefilled): Query<Prefilled>,
) -> Result<Response, Failure> {
    user.require(Role::Impersonate)?;
    let form = BeginForm {
        subject: prefilled.subject.chars().take(MAX_SUBJECT).collect(),
        ..BeginForm::default()
    };
    begin_page(&console, &user, StatusCode::OK, form, Problems::default())
}

pub(super) async fn begin(
    State(console): State<Arc<Console>>,
    user: User,
    Form(mut form): Form<BeginForm>,
) -> Result<Response, Failure> {
    user.require(Role::Impersonate)?;
    form.subject = form.subject.trim().to_owned();
    let demands = Demands::of(&console)?;
    let problems = check(&form, &demands);
    if !problems.is_empty() {
        return begin_page(
            &console,
            &user,
            StatusCode::UNPROCESSABLE_ENTITY,
            form,
            problems,
        );
    }
    if console.shared.stopping.is_cancelled() {
        let whole = Problem {
            title: "The gateway stops",
            text: "It is about to restart and creates nothing. Please try again in a minute."
                .into(),
            rule: None,
        };
        let problems = Problems {
            whole: Some(whole),
            ..Problems::default()
        };
        return begin_page(
            &console,
            &user,
            StatusCode::SERVICE_UNAVAILABLE,
            form,
            problems,
        );
    }
    // Also of two requests at once, only one has the form.
    if !console.sessions.take_form(user.session, &form.form) {
        let whole = Problem {
            title: "Already sent",
            text: "This form was sent before, or is too old. Nothing was created now. Look at the list of impersonations before you send it again.".into(),
            rule: None,
        };
        let problems = Problems {
            whole: Some(whole),
            ..Problems::default()
        };
        return begin_page(&console, &user, StatusCode::CONFLICT, form, problems);
    }
    let seconds = |set: Option<u32>, limits: Limits| {
        Duration::from_secs(set.unwrap_or(limits.default).into())
    };
    let create = CreateActorToken::new(&*form.subject, Actor::new(&*user.operator.actor))
        .expires_in(seconds(form.lifetime, demands.lifetime))
        .session_max_duration(seconds(form.session, demands.session));
    let mut request = ActorTokenRequest::create(create);
    let principal = user.principal();
    request.extensions_mut().insert(principal.clone());
    request.extensions_mut().insert(Reason::new(&form.reason));
    match console.shared.client.send(request).await {
        Ok(token) => match open(&console, &token, principal) {
            Some(response) => Ok(response),
            None => {
                let whole = Problem {
                    title: "Nothing was opened",
                    text: "The API returned no usable link, so the gateway revokes the token. Please begin again.".into(),
                    rule: None,
                };
                let problems = Problems {
                    whole: Some(whole),
                    ..Problems::default()
                };
                begin_page(&console, &user, StatusCode::BAD_GATEWAY, form, problems)
            }
        },
        Err(error) => {
            let status = error
                .status()
                .filter(|it| it.is_client_error() || it.is_server_error());
            // A status of the API's that concerns the gateway's own key says nothing to a browser.
            let status = status.filter(|it| *it != StatusCode::UNAUTHORIZED);
            if error.outcome().is_without_effect() {
                // The tab that has the form can send it again.
                let form = form.form.clone();
                console.sessions.give_back_form(user.session, form);
            }
            let problems = Problems {
                whole: Some(explain(&error)),
                ..Problems::default()
            };
            let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
            begin_page(&console, &user, status, form, problems)
        }
    }
}

fn check(form: &BeginForm, demands: &Demands) -> Problems {
    let is_odd = |it: char| it.is_whitespace() || it.is_control();
    let subject = match &*form.subject {
        "" => Some("Enter the id of the user."),
        id if id.chars().count() > MAX_SUBJECT => Some("The id has at most 128 characters."),
        id if id.contains(is_odd) => Some("The id has no spaces."),
        _ => None,
    };
    let reason = match form.reason.chars().count() {
        0 => demands.reason().map(|_| "Say why you need this."),
        1..=MAX_REASON => None,
        _ => Some("The reason has at most 1,000 characters."),
    };
    let lifetime = form.lifetime.and_then(|it| demands.lifetime.check(it));
    let session = form.session.and_then(|it| demands.session.check(it));
    Problems {
        whole: None,
        subject: subject.map(Into::into),
        reason: reason.map(Into::into),
        lifetime,
        session,
    }
}

/// Redirects to the link of a token. This claims the token, so it is the last step. `None` if there is no usable
/// link: then the token is revoked, because it is dropped unread, or by a revoke of its own.
fn open(console: &Arc<Console>, token: &ActorToken, principal: Principal) -> Option<Response> {
    match HeaderValue::from_str(token.expose_url()?) {
        Ok(mut location) => {
            location.set_sensitive(true);
            Some((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
        }
        Err(_) => {
            tracing::error!("a link is no value of a header, so its token is revoked");
            let (leases, id) = (console.shared.leases.clone(), token.id().clone());
            tokio::spawn(async move { leases.revoke(id, &principal).await });
            None
        }
    }
}

/// Says why nothing, or perhaps something, was created.
fn explain(error: &Error) -> Problem {
    let entry = error
        .clerk_errors()
        .and_then(|errors| errors.errors.first());
    let rule = entry
        .and_then(|it| it.meta.get("rule"))
        .and_then(|it| it.as_str());
    let text = match (rule, error.code()) {
        (Some("self_impersonation"), _) => "You cannot impersonate yourself.",
        (Some("subjects.deny"), _) => "This user must not be impersonated.",
        (Some("subjects.allow"), _) => "This user is not among those who may be impersonated.",
        (Some("actors.deny" | "actors.allow"), _) => "Your account may not impersonate users.",
        (Some("actor" | "keys" | "impersonated_principal"), _) => {
            "Your account may not begin impersonations as this actor. An administrator can correct it."
        }
        (Some("reason"), _) => "A reason is required.",
        (Some("paused"), _) => {
            "An operator has paused the gateway. No impersonation can begin until it is resumed."
        }
        (Some("quota_used" | "quota_closed"), _) => {
            "The impersonations of this month are used up. An operator with the role “pause” can reopen the quota."
        }
        (_, Some("audit_unavailable")) => {
            "The audit cannot be written at the moment, so nothing is created. Please try again in a moment."
        }
        _ if error.is_rate_limited() => {
            "There were too many impersonations within a short time. Please wait a moment and try again."
        }
        _ if error.is_not_found() => "The API does not know this user.",
        _ => "",
    };
    let text = match (text, entry) {
        ("", Some(entry)) if !entry.long_message.is_empty() => visible(&entry.long_message),
        ("", _) => match error.outcome() {
            outcome if outcome.is_without_effect() => "The API did not create the token. Please try again.".into(),
            _ => "The API’s response was lost. The gateway revokes the token if there is one; see “Open items”.".into(),
        },
        (text, _) => text.into(),
    };
    let title = match error.outcome() {
        outcome if outcome.is_without_effect() => "Nothing was created",
        _ => "It is unknown whether a token was created",
    };
    Problem {
        title,
        text,
        rule: rule.map(visible),
    }
}
