// Creates and revokes an actor token with Clerk's JavaScript SDK, and checks the errors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createClerkClient } from "@clerk/backend";
import { isClerkAPIResponseError } from "@clerk/backend/errors";

function expect(name, actual, expected) {
  console.log(`${name}: ${JSON.stringify(actual)}`);
  assert.deepEqual(actual, expected, name);
}

// Expects a typed error with this status and code.
async function expectError(call, status, code) {
  const error = await call().then(
    () => assert.fail(`no error, expected ${status} ${code}`),
    (error) => error,
  );
  assert(isClerkAPIResponseError(error), `no typed error: ${error}`);
  expect("  typed error", [error.status, error.errors[0].code], [status, code]);
  return error;
}

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
console.log("@clerk/backend", dependencies["@clerk/backend"]);

// The SDK appends the version to the path itself.
const origin = (url) => new URL(url).origin;
const { CLERK_API_URL: url, RATE_LIMITED_API_URL: limitedUrl, CLERK_SECRET_KEY: secretKey } = process.env;
const { NO_PLAN_API_URL: noPlanUrl, NO_PLAN_CODE: noPlanCode, DENIED_USER: deniedUser } = process.env;
const request = { userId: "user_subject", actor: { sub: "user_admin" }, expiresInSeconds: 300 };

const clerk = createClerkClient({ apiUrl: origin(url), secretKey });
const token = await clerk.actorTokens.create(request);
expect("created", token.status, "pending");
// A gateway adds claims.
expect("for", [token.userId, token.actor.sub], ["user_subject", "user_admin"]);
assert(token.id.startsWith("act_") && token.token && token.url.includes(token.token));
assert(token.createdAt === token.updatedAt && token.createdAt > 1_700_000_000_000);

const revoked = await clerk.actorTokens.revoke(token.id);
expect("revoked", [revoked.id, revoked.status], [token.id, "revoked"]);

console.log("revoked again:");
await expectError(() => clerk.actorTokens.revoke(token.id), 400, "actor_token_cannot_be_revoked_code");
console.log("unknown token:");
await expectError(() => clerk.actorTokens.revoke("act_unknown"), 404, "resource_not_found");
console.log("empty user:");
await expectError(() => clerk.actorTokens.create({ ...request, userId: "" }), 422, "form_param_value_invalid");

console.log("wrong key:");
const stranger = createClerkClient({ apiUrl: origin(url), secretKey: "sk_test_wrong" });
await expectError(() => stranger.actorTokens.create(request), 401, "clerk_key_invalid");

console.log("without impersonation in the plan:");
const noPlan = createClerkClient({ apiUrl: origin(noPlanUrl), secretKey });
await expectError(() => noPlan.actorTokens.create(request), 402, noPlanCode);

if (deniedUser) {
  console.log("denied by the policy of the gateway:");
  await expectError(() => clerk.actorTokens.create({ ...request, userId: deniedUser }), 403, "impersonation_denied");
}

console.log("above the rate limit:");
const limited = createClerkClient({ apiUrl: origin(limitedUrl), secretKey });
const error = await expectError(() => limited.actorTokens.create(request), 429, "too_many_requests");
assert(error.retryAfter >= 1 && error.retryAfter <= 60, `Retry-After: ${error.retryAfter}`);
console.log("ok");
