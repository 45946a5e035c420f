//! [`Sessions`], the two operations on sessions over the attempt level of a client.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{Extensions, HeaderMap, Method, Request, Response, uri::PathAndQuery};
use tokio::{runtime::Handle, time::Instant};
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{
    error::EndImpersonationError,
    session::{Session, page},
};
use crate::{
    ActorTokenId, ActorTokenRequest, BoxError, Error, ErrorKind, InvalidRequest, OperationKind,
    Outcome, Payload, TokenResponse,
    body::PayloadParts,
    call::{CallOptions, CallRecord},
    client::stack::AttemptService,
    layer::{no_runtime, refused, typed_error::complete},
};

/// The number of sessions in a page. The API allows 500, but a response of 256 KiB has no room for them.
const PAGE: usize = 100;

/// Lists and ends sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    attempts: BoxCloneSyncService<Request<Payload>, Response<TokenResponse>, BoxError>,
    /// The time of each call, attempts and backoff included.
    timeout: Duration,
}

/// The headers, extensions and options of each request of a call.
#[derive(Default)]
pub(crate) struct Call {
    headers: HeaderMap,
    extensions: Extensions,
    options: Option<Arc<CallOptions>>,
}

impl From<ActorTokenRequest> for Call {
    fn from(request: ActorTokenRequest) -> Self {
        Self {
            headers: request.headers,
            extensions: request.extensions,
            options: request.options,
        }
    }
}

impl Sessions {
    pub(crate) fn over(attempts: impl AttemptService, timeout: Duration) -> Self {
        Self {
            attempts: BoxCloneSyncService::new(attempts),
            timeout,
        }
    }

    /// Returns the sessions of a user with an actor, of every status: the API has no filter for pending
    /// ones.
    pub(crate) async fn list(&self, subject: &str, call: &Call) -> Result<Vec<Session>, Error> {
        if subject.trim().is_empty() {
            return Err(InvalidRequest::EmptyUserId.into());
        }
        let (mut known, mut sessions) = (HashSet::new(), Vec::new());
        loop {
            let path = Serializer::for_suffix("/sessions?".to_owned(), "/sessions?".len())
                .append_pair("user_id", subject)
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &known.len().to_string())
                .finish();
            let listed = self
                .send(OperationKind::ListSessions, path, None, call)
                .await;
            let listed = listed.and_then(|body| page(&body)).map_err(|error| {
                // A listing that failed has changed nothing.
                let outcome = error.outcome().min(Outcome::Rejected);
                error.with_outcome(outcome)
            })?;
            let (length, before) = (listed.len(), known.len());
            for session in listed {
                if session.user_id != subject {
                    return Err(no_list("a session is of another user"));
                }
                // A session that began since the last page has moved the others.
                if known.insert(session.id.clone()) {
                    sessions.extend(session.impersonation());
                }
            }
            if length != PAGE {
                return Ok(sessions);
            }
            if known.len() == before {
                return Err(no_list("a page of sessions was repeated"));
            }
        }
    }

    /// Ends the live sessions of a user that `filter` chooses.
    pub(crate) async fn end(
        &self,
        subject: &str,
        mut filter: impl FnMut(&Session) -> bool,
        call: &Call,
    ) -> Result<Vec<Session>, EndImpersonationError> {
        let mut chosen = self.list(subject, call).await?;
        chosen.retain(|session| session.is_live() && filter(session));
        let (mut ended, mut failed) = (Vec::new(), Vec::new());
        for session in chosen {
            let path = format!("/sessions/{}/revoke", session.id());
            let id = Some(session.id.clone());
            match self.send(OperationKind::EndSession, path, id, call).await {
                Ok(_) => ended.push(session),
                Err(error) => failed.push((session, error)),
            }
        }
        if !failed.is_empty() {
            // A session that is not live any more has ended, whatever the response was.
            if let Ok(now) = self.list(subject, call).await {
                let live = now.iter().filter(|it| it.is_live());
                let live: HashSet<_> = live.map(|it| &it.id).collect();
                let is_live = |(it, _): &(Session, Error)| live.contains(&it.id);
                let gone: Vec<_>;
                (failed, gone) = failed.into_iter().partition(is_live);
                ended.extend(gone.into_iter().map(|(session, _)| session));
            }
        }
        ended.iter_mut().for_each(Session::set_ended);
        match failed.is_empty() {
            true => Ok(ended),
            false => Err(EndImpersonationError::NotAllEnded { ended, failed }),
        }
    }

    /// Sends the request of one call and returns the body of its 200.
    async fn send(
        &self,
        kind: OperationKind,
        path: String,
        id: Option<ActorTokenId>,
        call: &Call,
    ) -> Result<Bytes, Error> {
        Handle::try_current().map_err(|_| no_runtime())?;
        let path =
            PathAndQuery::try_from(path).map_err(|_| refused("its path is not valid in a URL"))?;
        let own = call.options.as_ref().and_then(|options| options.timeout);
        let timeout = own.unwrap_or(self.timeout);
        let record = Arc::<CallRecord>::default();
        let _closed = CloseOnDrop(Arc::clone(&record));
        let mut request = Request::new(Payload::of_call(PayloadParts {
            bytes: Bytes::new(),
            kind,
            id,
            options: call.options.clone(),
            deadline: Instant::now().checked_add(timeout),
            record: Arc::clone(&record),
        }));
        *request.method_mut() = match kind {
            OperationKind::ListSessions => Method::GET,
            _ => Method::POST,
        };
        *request.uri_mut() = path.into();
        request.headers_mut().clone_from(&call.headers);
        request.extensions_mut().clone_from(&call.extensions);
        let sent = tokio::time::timeout(timeout, self.attempts.clone().oneshot(request));
        let sent = sent.await.unwrap_or_else(|_| {
            let error = Error::new(ErrorKind::Timeout, Outcome::NotSent);
            Err(error
                .with_detail(format!("the call took longer than {timeout:?}"))
                .into())
        });
        let body = sent.map(|response| response.into_body().bytes);
        body.map_err(|error| complete(error, kind, &record))
    }
}

/// Returns the error of a listing that cannot be used.
fn no_list(why: &str) -> Error {
    Error::unreadable(why, Outcome::Rejected)
}

/// Closes the record, so that no clone of a request can be sent once its call has ended.
struct CloseOnDrop(Arc<CallRecord>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

crate::text::opaque_debug!(Sessions);
