//! Login and sign out.
//!
//! # Guessing
//!
//! A token has 256 random bits, so guessing is hopeless, and the limit keeps it cheap. Behind a proxy the
//! gateway does not know its peers, so there is one budget for all: ten failed logins at once, and one more
//! every three seconds. Beyond it every login waits before its token is read, a valid one, too: a second for
//! each failure above the budget, at most two. At most 16 logins wait; further ones get 429 at once. So a
//! valid token is never locked out: it waits two seconds, or is sent again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use askama::Template;
use axum::{
    Form,
    extract::{RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{RETRY_AFTER, SET_COOKIE},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{
    Console, Failure, page,
    user::{COOKIE_NAME, Frame, User, cookie, home},
};
use crate::meter;

/// How many failed logins the budget has, and the time after which it gets one back.
const FAILURES: u32 = 10;
const PER_FAILURE: Duration = Duration::from_secs(3);
/// The wait for each failure above the budget, and the longest wait.
const STEP: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(2);
const MAX_WAITING: usize = 16;

/// The budget of failed logins.
pub(super) struct Throttle {
    /// When the budget is whole again.
    whole: Mutex<Instant>,
    waiting: Semaphore,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            whole: Mutex::new(Instant::now()),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Waits until the next login may be tried. False: too many are waiting.
    async fn pass(&self) -> bool {
        let whole = *self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = PER_FAILURE * FAILURES;
        let excess = whole
            .saturating_duration_since(Instant::now())
            .saturating_sub(budget - PER_FAILURE);
        if excess.is_zero() {
            return true;
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return false;
        };
        let failures = excess.as_secs_f64() / PER_FAILURE.as_secs_f64();
        sleep(STEP.mul_f64(failures).min(LONGEST)).await;
        true
    }

    fn note_failure(&self) {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let most = Instant::now() + PER_FAILURE * (FAILURES + MAX_WAITING as u32);
        *whole = (Instant::now().max(*whole) + PER_FAILURE).min(most);
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    problem: Option<&'static str>,
    has_ended: bool,
}

fn login_page(
    status: StatusCode,
    problem: Option<&'static str>,
    has_ended: bool,
) -> Result<Response, Failure> {
    let frame = Frame::anonymous();
    page(
        status,
        &LoginPage {
            frame,
            problem,
            has_ended,
        },
    )
}

pub(super) async fn show(
    user: Option<User>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    match user {
        Some(user) => Ok(Redirect::to(home(&user.operator)).into_response()),
        None => login_page(StatusCode::OK, None, query.as_deref() == Some("ended")),
    }
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    token: SecretString,
}

pub(super) async fn login(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, Failure> {
    if !console.throttle.pass().await {
        let problem = "Too many people are trying to sign in. Please try again in a few seconds.";
        let mut response = login_page(StatusCode::TOO_MANY_REQUESTS, Some(problem), false)?;
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("2"));
        return Ok(response);
    }
    let token = SecretString::from(form.token.expose_secret().trim());
    let Some(operator) = console.shared.operators.authenticate(&token) else {
        console.throttle.note_failure();
        meter::unauthenticated();
        tracing::warn!("a login to the console failed");
        let problem = "This token is not valid. Check that you copied all of it.";
        return login_page(StatusCode::UNAUTHORIZED, Some(problem), false);
    };
    // Never the id that the browser sent: an attacker may have chosen it.
    if let Some(old) = cookie(&headers) {
        console.sessions.end(old);
    }
    let new = console.sessions.begin(token.expose_secret(), &operator);
    let new = new.map_err(Failure::internal)?;
    tracing::info!(operator = operator.name, "signed in to the console");
    let set = set_cookie(&format!(
        "{COOKIE_NAME}={new}; Path=/; Secure; HttpOnly; SameSite=Strict"
    ))?;
    Ok(([(SET_COOKIE, set)], Redirect::to(home(&operator))).into_response())
}

pub(super) async fn sign_out(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if let Some(cookie) = cookie(&headers) {
        console.sessions.end(cookie);
    }
    let set = set_cookie(&format!(
        "{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
    ))?;
    Ok(([(SET_COOKIE, set)], Redirect::to("/console/login")).into_response())
}

fn set_cookie(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(Failure::internal)?;
    value.set_sensitive(true);
    Ok(value)
}
