//! [`User`], the operator who is signed in, and [`Frame`], the frame of every page.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Redirect, Response},
};
use clerk_actor_tokens_policy::Principal;
use http::{HeaderMap, header::COOKIE, request::Parts};

use super::{
    Console, Failure,
    session::{Notice, SessionKey},
    show::{Moment, visible},
};
use crate::{Operator, Role};

/// The prefix keeps another host, and a plain connection, from setting the cookie.
pub(super) const COOKIE_NAME: &str = "__Host-console";

/// The operator who is signed in. As an extractor it sends everyone else to the login.
#[derive(Clone)]
pub(super) struct User {
    pub(super) operator: Arc<Operator>,
    pub(super) session: SessionKey,
}

impl User {
    /// Returns the operator of the request's session.
    pub(super) fn of(console: &Console, headers: &HeaderMap) -> Option<Self> {
        let operators = &console.shared.operators;
        let (session, operator) = console.sessions.resume(cookie(headers)?, operators)?;
        Some(Self { operator, session })
    }

    pub(super) fn require(&self, role: Role) -> Result<(), Failure> {
        self.require_any(&[role])
    }

    pub(super) fn require_any(&self, roles: &[Role]) -> Result<(), Failure> {
        match roles.iter().any(|role| self.operator.may(*role)) {
            true => Ok(()),
            false => Err(Failure::Forbidden(roles[0])),
        }
    }

    pub(super) fn principal(&self) -> Principal {
        self.operator.principal("console")
    }
}

/// Returns the cookie of the session.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|it| it.to_str().ok());
    let mut pairs = values
        .flat_map(|it| it.split(';'))
        .filter_map(|it| it.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

impl FromRequestParts<Arc<Console>> for User {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Response> {
        let had_session = cookie(&parts.headers).is_some();
        let login = match had_session {
            true => "/console/login?ended",
            false => "/console/login",
        };
        User::of(console, &parts.headers).ok_or_else(|| Redirect::to(login).into_response())
    }
}

impl OptionalFromRequestParts<Arc<Console>> for User {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Option<Self>, Infallible> {
        Ok(User::of(console, &parts.headers))
    }
}

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Impersonations,
    Begin,
    Audit,
    Open,
    Quota,
    Pause,
    Elsewhere,
}

impl Place {
    const ALL: [(Self, &str, &str, &[Role]); 6] = [
        (
            Self::Impersonations,
            "/console/impersonations",
            "Impersonations",
            &[Role::View],
        ),
        (Self::Begin, "/console/begin", "Begin", &[Role::Impersonate]),
        (Self::Audit, "/console/audit", "Audit", &[Role::View]),
        (Self::Open, "/console/open", "Open items", &[Role::View]),
        (
            Self::Quota,
            "/console/quota",
            "Quota",
            &[Role::View, Role::Pause],
        ),
        (
            Self::Pause,
            "/console/pause",
            "Pause",
            &[Role::View, Role::Pause],
        ),
    ];

    /// Returns the roles of which one allows the page.
    pub(super) fn roles(self) -> &'static [Role] {
        let place = Self::ALL.iter().find(|(place, ..)| *place == self);
        place.map_or(&[], |(_, _, _, roles)| roles)
    }
}

/// A link of the navigation.
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
}

/// The frame of a page: navigation, operator, banner and notice.
pub(super) struct Frame {
    pub(super) style: &'static str,
    pub(super) user: Option<Signed>,
    pub(super) paused: Option<Paused>,
    pub(super) notice: Option<Notice>,
}

/// The operator in the header of a page.
pub(super) struct Signed {
    pub(super) name: String,
    pub(super) links: Vec<Link>,
    pub(super) form: String,
}

/// The banner of a gateway that is paused.
pub(super) struct Paused {
    pub(super) since: Moment,
    pub(super) reason: Option<String>,
}

impl Frame {
    /// The frame of a page for everyone.
    pub(super) fn anonymous() -> Self {
        Self {
            style: super::style_path(),
            user: None,
            paused: None,
            notice: None,
        }
    }

    /// The frame of a page for an operator. `form` is a new id for the forms of the page.
    pub(super) fn of(console: &Console, user: &User, place: Place) -> Result<Self, Failure> {
        let allowed = Place::ALL
            .into_iter()
            .filter(|(_, _, _, roles)| user.require_any(roles).is_ok());
        let links = allowed.map(|(it, href, text, _)| Link {
            href,
            text,
            is_current: it == place,
        });
        let signed = Signed {
            name: visible(&user.operator.name),
            links: links.collect(),
            form: console
                .sessions
                .new_form(user.session)
                .map_err(Failure::internal)?,
        };
        let paused = console.shared.parts.pause.get().map(|flag| Paused {
            since: Moment::from_millis(flag.since),
            reason: flag.reason.as_deref().map(visible),
        });
        Ok(Self {
            user: Some(signed),
            paused,
            notice: console.sessions.take_notice(user.session),
            ..Self::anonymous()
        })
    }

    /// The id of the page's forms.
    pub(super) fn form(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.form)
    }
}

/// Returns the first page that the operator may see.
pub(super) fn home(operator: &Operator) -> &'static str {
    let allowed = Place::ALL
        .iter()
        .find(|(_, _, _, roles)| roles.iter().any(|it| operator.may(*it)));
    allowed.map_or("/console/nothing", |(_, href, ..)| href)
}
