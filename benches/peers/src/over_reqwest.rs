//! A create written by hand over reqwest.

use crate::{
    Error, SECRET_KEY,
    hand_written::{ActorToken, CreateActorToken},
};

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: String,
}

impl Client {
    pub(crate) async fn create(&self) -> Result<ActorToken, Error> {
        let response = self
            .http
            .post(format!("{}/actor_tokens", self.base_url))
            .bearer_auth(SECRET_KEY)
            .header("accept", "application/json")
            .header("clerk-api-version", "2026-05-12")
            .json(&CreateActorToken::SAMPLE)
            .send()
            .await?
            .error_for_status()?;
        Ok(response.json().await?)
    }
}
