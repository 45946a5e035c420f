//! An export has every record, in order.

use std::{io, time::SystemTime};

use clerk_actor_tokens_gateway::store::export;
use clerk_actor_tokens_policy::audit::{Entry, Note};

use crate::{Call, HOUR, Setup};

#[tokio::test]
async fn export_is_the_records_while_the_store_is_open() {
    let (setup, call) = (Setup::new(), Call::new());
    let mut entries = call.returned("act_1").to_vec();
    entries.push(Entry::note(Note::new("paused").detail("two\nlines")));
    setup.write(entries.clone()).await;
    let mut text = Vec::new();
    assert_eq!(export(&setup.path(), None, &mut text).unwrap(), 4);
    let text = String::from_utf8(text).unwrap();
    let expected: Vec<_> = entries
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap())
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn export_since_a_time_leaves_out_older_records() {
    let (setup, call) = (Setup::new(), Call::new());
    let mut entries = call.returned("act_1");
    entries[0].at -= HOUR;
    setup.write(entries).await;
    let since = Some(SystemTime::now() - HOUR / 2);
    assert_eq!(export(&setup.path(), since, io::sink()).unwrap(), 2);
}

#[tokio::test]
async fn export_that_cannot_be_written_fails() {
    let setup = Setup::new();
    setup.write(Call::new().returned("act_1")).await;
    let mut full = [0; 10];
    let error = export(&setup.path(), None, &mut full[..]).unwrap_err();
    assert_eq!(error.to_string(), "could not write the export");
    let missing = setup.folder.path().join("missing");
    assert!(export(&missing, None, io::sink()).is_err());
    assert!(!missing.exists(), "an export creates no database");
}
