//! Encodes an operation as a request of the attempt level.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{Method, Request, uri::PathAndQuery};

use super::Expected;
use crate::{
    ActorTokenRequest, CreateActorToken, Error, InvalidRequest, Operation, Payload,
    body::PayloadParts,
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
    request.validate()?;
    let ActorTokenRequest {
        operation,
        headers,
        extensions,
        options,
        deadline,
        record,
    } = request;
    let mut names = headers.keys().filter(|_| !trusts_headers);
    if let Some(name) = names.find(|name| is_reserved(name)).cloned() {
        return Err(InvalidRequest::ReservedHeader { name }.into());
    }
    let record = record.unwrap_or_default();
    let kind = operation.kind();
    let (path, bytes, id, expected) = match operation {
        Operation::Create(create) => {
            let bytes = encode_create(&create)?;
            let lifetime = create.lifetime_or_default();
            record.set_lifetime(lifetime);
            let user_id = Some(create.user_id);
            let expected = Expected::Minted { user_id, lifetime };
            (CREATE.clone(), bytes, None, expected)
        }
        Operation::Revoke(id) => {
            // Has room for usual ids: `concat` takes 220 instructions more.
            let mut path = String::with_capacity(64);
            for part in [CREATE_PATH, "/", id.as_str(), "/revoke"] {
                path.push_str(part);
            }
            let path = PathAndQuery::try_from(path)
                .map_err(|error| refused("its path is not valid in a URL").with_source(error))?;
            let expected = Expected::Revoked { id: id.clone() };
            (path, Bytes::new(), Some(id), expected)
        }
    };
    let payload = Payload::of_call(PayloadParts {
        bytes,
        kind,
        id,
        options,
        deadline,
        record,
    });
    let mut request = Request::new(payload);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    *request.extensions_mut() = extensions;
    Ok((request, expected))
}

fn encode_create(create: &CreateActorToken) -> Result<Bytes, Error> {
    let json =
        serde_json::to_vec(create).map_err(|_| refused("its claims cannot be written as JSON"))?;
    if json.len() > MAX_REQUEST_BYTES {
        let (bytes, limit) = (json.len(), MAX_REQUEST_BYTES);
        return Err(InvalidRequest::TooLarge { bytes, limit }.into());
    }
    Ok(json.into())
}
