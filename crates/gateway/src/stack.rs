//! [`client`], the stack of a gateway's client, one line a layer.

use clerk_actor_tokens::{Client, ClientBuilder, ConfigError, RotatingKey};
use clerk_actor_tokens_policy::{
    AttributionLayer, AuditBarrierLayer, AuditLayer, AuthorizeLayer, Gate, GateLayer, MemoryGate,
    MemoryRateLimitStore, RateLimitLayer, RateLimitStore, SharedPolicy,
};
use clerk_actor_tokens_redis::{Redis, RedisGate, RedisRateLimitStore};

use crate::{
    Config,
    pause::{Pause, PauseLayer},
    quota::{Quota, QuotaLayer},
    storage::Writer,
};

/// The shared state of the layers.
pub(crate) struct Parts {
    pub(crate) key: RotatingKey,
    pub(crate) audit: AuditLayer<Writer>,
    pub(crate) policy: SharedPolicy,
    pub(crate) pause: Pause,
    pub(crate) quota: Quota,
    /// Where limits and gate are shared by several gateways.
    pub(crate) redis: Option<Redis>,
}

/// Builds the client of a gateway over the default transport.
pub(crate) fn client(config: &Config, parts: &Parts) -> Result<Client, ConfigError> {
    match &parts.redis {
        Some(redis) => {
            let (store, gate) = (RedisRateLimitStore::new(redis), RedisGate::new(redis));
            client_over(config, parts, store, gate)
        }
        None => client_over(
            config,
            parts,
            MemoryRateLimitStore::new(),
            MemoryGate::new(),
        ),
    }
}

fn client_over(
    config: &Config,
    parts: &Parts,
    limits: impl RateLimitStore,
    gate: impl Gate,
) -> Result<Client, ConfigError> {
    let policy = &parts.policy;
    let builder = ClientBuilder::new(parts.key.clone())
        .call_timeout(config.clerk.call_timeout)
        .on_settle(parts.audit.on_settle());
    let builder = match &config.clerk.api_url {
        Some(url) => builder.base_url(url.clone()),
        None => builder,
    };
    builder
        // Records every call, also one that a layer below refuses.
        .observe_layer(parts.audit.clone().policy(policy.clone()))
        .observe_layer(AttributionLayer::new(&*config.clerk.issuer).policy(policy.clone()))
        // Before the policy, which may take time.
        .call_layer(PauseLayer::new(parts.pause.clone()))
        .call_layer(AuthorizeLayer::new(policy.clone()))
        // A denied call takes no unit of the limits or of the quota.
        .call_layer(RateLimitLayer::new(limits, config.limits.clone()))
        .call_layer(QuotaLayer::new(parts.quota.clone()))
        // Nothing below refuses a call before it is sent.
        .call_layer(AuditBarrierLayer::new())
        .attempt_layer(GateLayer::new(gate, &*config.clerk.account))
        .build()
}
