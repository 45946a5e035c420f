"""Creates and revokes an actor token with Clerk's Python SDK, and checks the errors."""

import os

import clerk_backend_api
from clerk_backend_api import Clerk, models


def expect(name, actual, expected):
    print(f"{name}: {actual!r}")
    assert actual == expected, f"{name}: expected {expected!r}"


def expect_error(call, status, code):
    """Expects an error with this status and code, whether or not the SDK has a type for it."""
    try:
        call()
    except models.ClerkErrors as error:
        expect("  typed error", (error.status_code, error.data.errors[0].code), (status, code))
    except models.SDKError as error:
        expect("  untyped error", (error.status_code, code in error.body), (status, True))
    else:
        raise AssertionError(f"no error, expected {status} {code}")


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
    expect_error(
        lambda: clerk.actor_tokens.revoke(actor_token_id=token.id),
        400,
        "actor_token_cannot_be_revoked_code",
    )
    print("unknown token:")
    expect_error(
        lambda: clerk.actor_tokens.revoke(actor_token_id="act_unknown"),
        404,
        "resource_not_found",
    )
    print("empty user:")
    expect_error(
        lambda: clerk.actor_tokens.create(request={**request, "user_id": ""}),
        422,
        "form_param_value_invalid",
    )

print("wrong key:")
with Clerk(bearer_auth="sk_test_wrong", server_url=url) as clerk:
    expect_error(lambda: clerk.actor_tokens.create(request=request), 401, "clerk_key_invalid")

print("without impersonation in the plan:")
with Clerk(bearer_auth=os.environ["CLERK_SECRET_KEY"], server_url=os.environ["NO_PLAN_API_URL"]) as clerk:
    expect_error(lambda: clerk.actor_tokens.create(request=request), 402, os.environ["NO_PLAN_CODE"])

if "DENIED_USER" in os.environ:
    print("denied by the policy of the gateway:")
    with Clerk(bearer_auth=os.environ["CLERK_SECRET_KEY"], server_url=url) as clerk:
        denied = {**request, "user_id": os.environ["DENIED_USER"]}
        expect_error(lambda: clerk.actor_tokens.create(request=denied), 403, "impersonation_denied")

print("above the rate limit:")
limited_url = os.environ["RATE_LIMITED_API_URL"]
with Clerk(bearer_auth=os.environ["CLERK_SECRET_KEY"], server_url=limited_url) as clerk:
    expect_error(lambda: clerk.actor_tokens.create(request=request), 429, "too_many_requests")
print("ok")
