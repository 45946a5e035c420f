//! The search for secrets finds a secret wherever it is shown.

mod support {
    pub(crate) mod response;
    pub(crate) mod search;
    pub(crate) mod shown;
}

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use clerk_actor_tokens::{
    Actor, ActorToken, Body, BoxError, Client, ClientBuilder, CreateActorToken, Error, SecretKey,
    Ticket,
    client::{CustomTransport, Layers, Transport},
};
use http::{Request, header::AUTHORIZATION};
use support::{
    response::{FullResponse, response},
    search::{self, Leak, MARKER, form_in},
    shown::shown,
};
use tower::{service_fn, util::MapResponseLayer};

const MINTED: &str = r#"{"id":"act_1","user_id":"user_1","status":"pending","token":"eyJ.MARKER","url":"https://x.example/?ticket=eyJ.MARKER"}"#;

type Builder<T> = ClientBuilder<Layers, CustomTransport<T>>;

fn over<T: Transport>(transport: T) -> Builder<T> {
    let key = SecretKey::new(format!("sk_test_{MARKER}")).unwrap();
    ClientBuilder::over(key, transport)
}

/// A transport that shows a request to `leak` and responds to it.
fn transport(
    leak: fn(&Request<Body>),
) -> impl Transport<Response = FullResponse, Error = BoxError, Future: Send> {
    service_fn(move |request: Request<Body>| async move {
        leak(&request);
        let _sent = request.into_body().into_bytes();
        Ok::<_, BoxError>(response(200, &[], MINTED))
    })
}

/// A client whose call layer shows every ticket to `leak`.
fn showing(leak: fn(&Ticket)) -> Client {
    let layer = MapResponseLayer::new(move |token: ActorToken| {
        leak(token.ticket().unwrap());
        token
    });
    over(transport(|_| ())).call_layer(layer).build().unwrap()
}

fn url(ticket: &Ticket) -> &str {
    ticket.expose_url().unwrap()
}

/// Creates a token, and returns the leaks of that call.
fn created(client: Client) -> (Result<ActorToken, Error>, Vec<Leak>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    search::during(|| {
        let create = CreateActorToken::new("user_1", Actor::new("user_2"));
        let token = runtime.block_on(client.create(create));
        if let Some(ticket) = token.as_ref().ok().and_then(ActorToken::ticket) {
            ticket.claim();
        }
        token
    })
}

#[track_caller]
fn assert_found(client: Client) {
    let (token, leaks) = created(client);
    assert!(token.is_ok(), "{token:?}");
    assert_eq!(leaks.len(), 1, "{leaks:?}");
}

#[test]
fn search_finds_nothing_if_nothing_leaks() {
    let (token, leaks) = created(showing(|_| ()));
    assert!(token.is_ok(), "{token:?}");
    assert!(leaks.is_empty(), "{leaks:?}");
    assert!(search::logging_crates().contains("clerk_actor_tokens"));
}

#[test]
fn key_logged_by_a_transport_is_found() {
    let leaking = transport(|request| {
        let mut headers = request.headers().clone();
        tracing::trace!(?headers, "still marked sensitive");
        headers.get_mut(AUTHORIZATION).unwrap().set_sensitive(false);
        tracing::trace!(?headers);
    });
    assert_found(over(leaking).build().unwrap());
}

#[test]
fn link_logged_by_a_layer_is_found() {
    assert_found(showing(|ticket| tracing::trace!("here: {}", url(ticket))));
    assert_found(showing(|ticket| tracing::error!(link = url(ticket))));
    assert_found(showing(|ticket| tracing::debug!(link = ?Some(url(ticket)))));
    assert_found(showing(|ticket| log::trace!("here: {}", url(ticket))));
}

#[test]
fn encoded_ticket_is_found() {
    assert_found(showing(|ticket| {
        let encoded = search::base64(ticket.expose_token().unwrap().as_bytes());
        tracing::trace!(encoded);
    }));
    assert_found(showing(|ticket| {
        tracing::trace!("{:?}", url(ticket).as_bytes());
    }));
    assert_found(showing(|ticket| {
        tracing::trace!(bytes = url(ticket).as_bytes());
    }));
}

#[test]
fn ticket_in_a_span_is_found_whenever_it_is_recorded() {
    assert_found(showing(|ticket| {
        drop(tracing::trace_span!("ticket", url = url(ticket)));
    }));
    assert_found(showing(|ticket| {
        let span = tracing::trace_span!("ticket", url = tracing::field::Empty);
        span.record("url", url(ticket));
    }));
}

#[test]
fn ticket_in_a_panic_message_is_found() {
    let client = showing(|ticket| panic!("what is {}?", url(ticket)));
    let (panicked, leaks) = search::during(|| catch_unwind(AssertUnwindSafe(|| created(client))));
    assert!(panicked.is_err());
    assert_eq!(leaks.len(), 1, "{leaks:?}");
}

/// An error that repeats its input.
#[derive(Debug)]
struct Echo(String);

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did not expect {}", self.0)
    }
}

impl std::error::Error for Echo {}

#[test]
fn key_in_the_source_of_an_error_is_found() {
    let failing = service_fn(|request: Request<Body>| async move {
        let key = request.headers()[AUTHORIZATION].to_str()?;
        Err::<FullResponse, BoxError>(Echo(key.to_owned()).into())
    });
    let (token, leaks) = created(over(failing).build().unwrap());
    let error = token.unwrap_err();
    assert!(leaks.is_empty(), "{leaks:?}");
    assert_eq!(form_in(&error.to_string()), None);
    assert_eq!(form_in(&shown(&error)), Some("as it is"));

    let ((), leaks) = search::during(|| {
        let error = &error as &(dyn std::error::Error + 'static);
        tracing::trace!(error);
    });
    assert_eq!(leaks.len(), 1, "{leaks:?}");
}

#[test]
fn leak_on_another_thread_is_found() {
    let ((), leaks) = search::during(|| {
        let thread = std::thread::spawn(|| tracing::trace!("elsewhere: {MARKER}"));
        thread.join().unwrap();
    });
    assert!(leaks.is_empty(), "{leaks:?}");
    let unclaimed = format!("{:?}", search::unclaimed());
    assert!(unclaimed.contains("elsewhere: MARKER"), "{unclaimed}");
}

#[test]
fn marker_is_found_in_every_form() {
    for text in [
        "sk_test_MARKER",
        "SK_TEST_MARKER",
        "sk_test_marker0",
        "{\"url\":\"https://x/?ticket=MARKER\"}",
        "{\\\"token\\\":\\\"MARKER\\\"}",
        "https%3A%2F%2Fx%2F%3Fticket%3DMARKER",
    ] {
        assert_eq!(form_in(text), Some("as it is"), "{text}");
    }
    // From `MARKER`, `xMARKERy`, `xxMARKERyy` and `sk_test_MARKER`.
    for text in [
        "TUFSS0VS",
        "eE1BUktFUnk=",
        "eHhNQVJLRVJ5eQ==",
        "c2tfdGVzdF9NQVJLRVI",
    ] {
        assert_eq!(form_in(text), Some("as base64"), "{text}");
    }
    for text in [
        "4d41524b4552",
        "6D61726B6572",
        "00 4d 41 52 4b 45 52 0a",
        "4D:41:52:4B:45:52",
        "[4d, 41, 52, 4b, 45, 52]",
        "[\n    0x4d,\n    0x41,\n    0x52,\n    0x4b,\n    0x45,\n    0x52,\n]",
        "%4D%41%52%4B%45%52",
        r"\x4d\x41\x52\x4b\x45\x52",
        r"\u004d\u0041\u0052\u004b\u0045\u0052",
        r"\u{4d}\u{41}\u{52}\u{4b}\u{45}\u{52}",
    ] {
        assert_eq!(form_in(text), Some("as hexadecimal digits"), "{text}");
    }
    for text in [
        format!("{:?}", format!("x{MARKER}y").as_bytes()),
        format!("{:#?}", MARKER.to_lowercase().as_bytes()),
        "&#77;&#65;&#82;&#75;&#69;&#82;".to_owned(),
    ] {
        assert_eq!(form_in(&text), Some("as numbers"), "{text}");
    }
    for text in [
        "",
        "MARKE",
        "4d 41 52 4b 45",
        "77, 65, 82, 75, 69",
        "177, 65, 82, 75, 69, 82",
    ] {
        assert_eq!(form_in(text), None, "{text}");
    }
}
