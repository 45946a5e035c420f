//! Encodes an operation as a request of the attempt level.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, uri::PathAndQuery};

use super::Expected;
use crate::{
    ActorTokenRequest, CreateActorToken, Error, InvalidRequest, Operation, Payload,
    layer::refusal::{is_reserved, refused},
};

/// The path of a create under the base URL.
pub(crate) const CREATE_PATH: &str = "/actor_tokens";

static CREATE: LazyLock<PathAndQuery> = LazyLock::new(|| PathAndQuery::from_static(CREATE_PATH));

/// The largest body of a request, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Returns a request with a path but no base URL and with the caller's headers only.
pub(super) fn encode(
    request: ActorTokenRequest,
    trusts_headers: bool,
) -> Result<(Request<Payload>, Expected), Error> {
    let ActorTokenRequest {
        operation,
        headers,
        extensions,
        options,
        deadline,
        record,
    } = request;
    if !trusts_headers && !headers.is_empty() {
        check_headers(&headers)?;
    }
    let record = record.unwrap_or_default();
    let kind = operation.kind();
    let (path, bytes, expected) = match operation {
        Operation::Create(create) => {
            create.validate().map_err(|error| invalid(&error))?;
            let bytes = encode_create(&create)?;
            let lifetime = create.life().unwrap_or(CreateActorToken::DEFAULT_LIFE);
            record.set_lifetime(lifetime);
            let user_id = Some(create.into_user_id());
            (
                CREATE.clone(),
                bytes,
                Expected::Minted { user_id, lifetime },
            )
        }
        Operation::Revoke(id) => {
            // Has room for the usual id. `concat` takes 220 instructions more.
            let mut path = String::with_capacity(64);
            for part in [CREATE_PATH, "/", id.as_str(), "/revoke"] {
                path.push_str(part);
            }
            let path = PathAndQuery::try_from(path)
                .map_err(|error| refused("its path is not valid in a URL").with_source(error))?;
            (path, Bytes::new(), Expected::Revoked { id })
        }
    };
    let payload = Payload::of_call(kind, bytes, options, deadline, record);
    let mut request = Request::new(payload);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    *request.extensions_mut() = extensions;
    Ok((request, expected))
}

fn check_headers(headers: &HeaderMap) -> Result<(), Error> {
    match headers.keys().find(|name| is_reserved(name)).cloned() {
        Some(name) => Err(invalid(&InvalidRequest::ReservedHeader { name })),
        None => Ok(()),
    }
}

fn encode_create(create: &CreateActorToken) -> Result<Bytes, Error> {
    let json =
        serde_json::to_vec(create).map_err(|_| refused("its claims cannot be written as JSON"))?;
    if json.len() > MAX_REQUEST_BYTES {
        let (bytes, limit) = (json.len(), MAX_REQUEST_BYTES);
        return Err(invalid(&InvalidRequest::TooLarge { bytes, limit }));
    }
    Ok(json.into())
}

fn invalid(error: &InvalidRequest) -> Error {
    refused(&error.to_string())
}
