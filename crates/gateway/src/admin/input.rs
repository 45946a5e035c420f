//! Extractors whose rejections are errors of the admin API, and work that a disconnect does not stop.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::Refused;

/// The body of a request, one JSON object. An absent body is the default.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let body = Option::<Json<Box<RawValue>>>::from_request(request, state).await;
        let invalid = |error: JsonRejection| Refused::invalid(error.status(), error.body_text());
        let Some(Json(body)) = body.map_err(invalid)? else {
            return Ok(Self(T::default()));
        };
        let invalid = |sentence| Refused::invalid(StatusCode::UNPROCESSABLE_ENTITY, sentence);
        // serde also reads the fields of a struct from an array.
        if !body.get().starts_with('{') {
            return Err(invalid("The body must be a JSON object.".to_owned()));
        }
        let body = serde_json::from_str(body.get());
        Ok(Self(body.map_err(|error| invalid(error.to_string()))?))
    }
}

/// The parameters in the query of a request.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Refused::invalid(rejection.status(), rejection.body_text())),
        }
    }
}

/// The id in the path of a request.
pub(super) struct Id<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Refused::invalid(
                StatusCode::BAD_REQUEST,
                "The id in the path is invalid.",
            )),
        }
    }
}

/// Checks the parameter `limit`.
pub(super) fn at_most(limit: Option<u32>, most: u32) -> Result<(), Refused> {
    match limit {
        Some(limit) if !(1..=most).contains(&limit) => {
            let sentence = format!("limit must be 1 to {most}.");
            Err(Refused::invalid(StatusCode::BAD_REQUEST, sentence))
        }
        _ => Ok(()),
    }
}

/// Runs a change to its end, even if the caller disconnects.
pub(super) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, Refused> {
    tokio::spawn(change).await.map_err(|_| {
        let sentence = "The change failed within the gateway.";
        Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            sentence,
        )
    })
}
