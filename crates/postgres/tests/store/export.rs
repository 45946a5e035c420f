//! An export has every record, those of an instance in order.

use std::{io, time::SystemTime};

use clerk_actor_tokens_policy::audit::{Entry, Note};
use clerk_actor_tokens_postgres::export;

use crate::support::{Call, HOUR, Server};

#[tokio::test]
async fn export_is_the_records_of_all_instances() {
    let server = Server::start();
    let (one, other) = (server.connect().await, server.connect().await);
    let call = Call::new();
    let [begin, sending, end] = &call.returned("act_1")[..] else {
        unreachable!()
    };
    let note = Entry::note(Note::new("paused").detail("two\nlines\0"));
    one.write(vec![begin.clone(), sending.clone()])
        .await
        .unwrap();
    other.write(vec![note.clone()]).await.unwrap();
    one.write(vec![end.clone()]).await.unwrap();
    let mut text = Vec::new();
    assert_eq!(export(server.config(), None, &mut text).await.unwrap(), 4);
    let text = String::from_utf8(text).unwrap();
    let expected = [begin, sending, &note, end].map(|entry| serde_json::to_string(entry).unwrap());
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn export_since_a_time_leaves_out_older_records() {
    let server = Server::start();
    let mut entries = Call::new().returned("act_1").to_vec();
    entries[0].at -= HOUR;
    server.connect().await.write(entries).await.unwrap();
    let since = Some(SystemTime::now() - HOUR / 2);
    assert_eq!(export(server.config(), since, io::sink()).await.unwrap(), 2);
}

#[tokio::test]
async fn export_that_cannot_be_written_fails() {
    let server = Server::start();
    let missing = export(server.config(), None, io::sink()).await;
    assert!(missing.is_err(), "an export creates no tables");
    server
        .connect()
        .await
        .write(Call::new().returned("act_1").into())
        .await
        .unwrap();
    let mut full = [0; 10];
    let error = export(server.config(), None, &mut full[..])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "could not write the export");
}
