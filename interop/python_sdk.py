"""Creates and revokes an actor token through Clerk's official Python SDK, and meets the errors."""

import os

import clerk_backend_api
from clerk_backend_api import Clerk, models


def expect(what, found, wanted):
    print(f"{what}: {found!r}")
    assert found == wanted, f"{what}: wanted {wanted!r}"


def refused(call, status, code):
    """The call must fail with this status and code, typed or not by the SDK."""
    try:
        call()
    except models.ClerkErrors as error:
        expect("  typed error", (error.status_code, error.data.errors[0].code), (status, code))
    except models.SDKError as error:
        expect("  untyped error", (error.status_code, code in error.body), (status, True))
    else:
        raise AssertionError(f"was not refused with {status} {code}")


print("clerk-backend-api", clerk_backend_api.VERSION)
url = os.environ["CLERK_API_URL"]
request = {"user_id": "user_subject", "actor": {"sub": "user_admin"}, "expires_in_seconds": 300}

with Clerk(bearer_auth=os.environ["CLERK_SECRET_KEY"], server_url=url) as clerk:
    token = clerk.actor_tokens.create(request=request)
    expect("created", (token.object.value, token.status.value), ("actor_token", "pending"))
    expect("for", token.user_id, "user_subject")
    assert token.id.startswith("act_") and token.token and token.token in token.url
    assert token.created_at == token.updated_at > 1_700_000_000_000

    revoked = clerk.actor_tokens.revoke(actor_token_id=token.id)
    expect("revoked", (revoked.id, revoked.status.value), (token.id, "revoked"))

    print("revoked again:")
    refused(
        lambda: clerk.actor_tokens.revoke(actor_token_id=token.id),
        400,
        "actor_token_cannot_be_revoked_code",
    )
    print("unknown token:")
    refused(
        lambda: clerk.actor_tokens.revoke(actor_token_id="act_unknown"),
        404,
        "resource_not_found",
    )
    print("empty user:")
    refused(
        lambda: clerk.actor_tokens.create(request={**request, "user_id": ""}),
        422,
        "form_param_value_invalid",
    )

print("wrong key:")
with Clerk(bearer_auth="sk_test_wrong", server_url=url) as clerk:
    refused(lambda: clerk.actor_tokens.create(request=request), 401, "clerk_key_invalid")
print("all as expected")
