//! The client of this crate, over its default transport.

use std::time::Duration;

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenRequest, BaseUrl, BoxError, Client, CreateActorToken, Error,
    SecretKey, layer::SettleLayer,
};

use crate::{
    PATIENCE,
    args::Args,
    books::{Books, Create},
    callers::Caller,
};

#[derive(Clone)]
pub(crate) struct Ours {
    client: Client,
    life: Duration,
}

impl Caller for Ours {
    type Token = ActorToken;

    fn new(
        base_url: &BaseUrl,
        key: SecretKey,
        args: &Args,
        books: &Books,
    ) -> Result<Self, BoxError> {
        // As long as the callers wait, so that a request that hangs is reported within the round.
        let settle = SettleLayer::new()
            .max_creates(8 * args.concurrency)
            .grace(PATIENCE);
        let books = books.clone();
        let client = Client::builder(key)
            .base_url(base_url.clone())
            .settle(settle)
            .on_settle(move |event| books.report(event))
            .build()?;
        Ok(Self {
            client,
            life: args.life,
        })
    }

    async fn create(&self, create: Create, limit: Duration) -> Result<ActorToken, BoxError> {
        let body = CreateActorToken::new(create.user_id(), Actor::new("user_admin"));
        let mut request = ActorTokenRequest::create(body.expires_in(self.life)).timeout(limit);
        request.extensions_mut().insert(create);
        Ok(self.client.send(request).await?)
    }

    fn rules_out(error: &BoxError) -> bool {
        let error = error.downcast_ref::<Error>();
        error.is_some_and(|error| error.outcome().is_without_effect())
    }

    fn read(token: ActorToken) -> String {
        let url = token.expose_url();
        assert!(url.is_some(), "a token without a link");
        token.id().to_string()
    }

    async fn drain(&self) {
        self.client.drain(Duration::from_secs(300)).await;
    }
}
