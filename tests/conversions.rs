//! Conversions between the public types, their names as text, and `?` from every `Invalid…` error.

use std::sync::{Arc, Mutex};

use clerk_actor_tokens::{
    Actor, ActorToken, ActorTokenId, ActorTokenRequest, ActorTokenStatus, BaseUrl, ClientBuilder,
    ConfigError, CreateActorToken, Error, ErrorKind, InvalidRequest, Operation, OperationKind,
    Outcome, SecretKey, client::SettleEvent, layer::ApiVersion, sandbox::Sandbox,
};

fn create() -> CreateActorToken {
    CreateActorToken::new("user_1", Actor::new("user_2"))
}

fn empty_user() -> Result<(), InvalidRequest> {
    CreateActorToken::new("", Actor::new("a")).validate()
}

/// Functions that fail by `?`, each with a part of its message.
macro_rules! fallible {
    ($error:ty) => {{
        type Fallible = fn() -> Result<(), $error>;
        [
            (
                (|| Ok(_ = ActorTokenId::try_from("")?)) as Fallible,
                "token id is empty",
            ),
            (|| Ok(_ = "latest".parse::<ApiVersion>()?), "a date like"),
            (
                || Ok(_ = "ftp://marker".parse::<BaseUrl>()?),
                "start with https://",
            ),
            (|| Ok(empty_user()?), "user_id is empty"),
            (|| Ok(_ = SecretKey::new("pk_marker")?), "publishable"),
            #[cfg(feature = "proxy")]
            (
                || Ok(_ = clerk_actor_tokens::transport::Proxy::to("")?),
                "http://host:port",
            ),
        ]
    }};
}

#[test]
fn question_mark_converts_every_invalid_value_into_an_error() {
    for (fallible, reason) in fallible!(Error) {
        let error = fallible().unwrap_err();
        let facts = (error.kind(), error.outcome(), error.is_permanent());
        assert_eq!(facts, (ErrorKind::InvalidRequest, Outcome::NotSent, true));
        let shown = error.to_string();
        assert!(
            shown.starts_with("the request was refused before it was sent: "),
            "{shown}"
        );
        assert!(
            shown.contains(reason) && !shown.contains("marker"),
            "{shown}"
        );
    }
}

#[test]
fn question_mark_converts_every_invalid_value_into_a_config_error() {
    for (fallible, reason) in fallible!(ConfigError) {
        let shown = fallible().unwrap_err().to_string();
        assert!(
            shown.contains(reason) && !shown.contains("marker"),
            "{shown}"
        );
    }
}

#[test]
fn json_without_a_valid_token_is_an_unreadable_response() {
    let read = || Ok::<_, Error>(ActorToken::from_json(br#"{"id":""}"#)?);
    let error = read().unwrap_err();
    let facts = (error.kind(), error.outcome());
    assert_eq!(facts, (ErrorKind::UnreadableResponse, Outcome::Unknown));
}

#[test]
fn id_converts_from_text_and_from_ids() {
    fn id<T>(from: T) -> Result<ActorTokenId, Error>
    where
        T: TryInto<ActorTokenId, Error: Into<Error>>,
    {
        from.try_into().map_err(Into::into)
    }
    let made = id("act_1").unwrap();
    let text = String::from("act_1");
    for other in [id(&text), id(text.clone()), id(&made), id(made.clone())] {
        assert_eq!(other.unwrap(), made);
    }
    assert!(id("../x").is_err());
    assert!(made == "act_1" && made == *"act_1" && made != "act_2");
    assert_eq!((made.as_ref(), String::from(made.clone())), ("act_1", text));
}

#[test]
fn request_converts_from_a_create_or_an_operation() {
    for request in [
        ActorTokenRequest::from(create()),
        ActorTokenRequest::from(Operation::Create(create())),
    ] {
        assert_eq!(request.operation(), &Operation::Create(create()));
    }
}

#[test]
fn words_are_those_of_spans_and_metrics() {
    fn word(shown: impl ToString, word: &str) -> String {
        assert_eq!(shown.to_string(), word);
        word.to_owned()
    }
    let outcomes = [
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Unknown,
        Outcome::Applied,
    ];
    let words = outcomes.map(|it| word(it, it.as_str()));
    assert_eq!(words, ["not_sent", "rejected", "unknown", "applied"]);
    let kinds = [OperationKind::Create, OperationKind::Revoke];
    assert_eq!(kinds.map(|it| word(it, it.as_str())), ["create", "revoke"]);
    let kinds = [
        ErrorKind::InvalidRequest,
        ErrorKind::Refused,
        ErrorKind::UnreadableResponse,
    ];
    let words = kinds.map(|it| word(it, it.as_str()));
    assert_eq!(words, ["invalid_request", "refused", "unreadable_response"]);
    assert_eq!(word(ActorTokenStatus::Pending, "pending"), "pending");
}

#[tokio::test(start_paused = true)]
async fn settle_event_can_be_cloned() {
    let kept: Arc<Mutex<Vec<SettleEvent>>> = Arc::default();
    let events = Arc::clone(&kept);
    let sandbox = Sandbox::new();
    let client = ClientBuilder::over(sandbox.secret_key(), sandbox.transport())
        .on_settle(move |event| events.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let token = client.create(create()).await.unwrap();
    let id = token.id().clone();
    drop(token);
    client.drain(std::time::Duration::from_secs(5)).await;
    let kept = kept.lock().unwrap();
    assert_eq!(kept[0].actor_token_id(), Some(&id));
    assert!(kept[0].error().is_none());
}
