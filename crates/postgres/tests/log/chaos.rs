//! Connections are cut at any time: no call is lost, and none has two ends.

use std::{collections::HashMap, time::Duration};

use clerk_actor_tokens_policy::{
    AuditSink, CallId,
    audit::{AuditRecord, Begin},
};
use clerk_actor_tokens_postgres::{Writer, verify};
use futures_util::future::join_all;

use crate::support::{Server, create, returned, soon, until};

const CALLERS: usize = 16;
const CALLS: usize = 40;

/// The last step of a call that was durable.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reached {
    Begin,
    Sending,
    End,
}

async fn call(writer: &Writer, token: &str) -> Option<(CallId, Reached)> {
    let call = CallId::create();
    let mut record = writer.begin(call, Begin::of(&create())).await.ok()?;
    if record.sending().await.is_err() {
        return Some((call, Reached::Begin));
    }
    let ended = record.end(returned(token)).await.is_ok();
    Some((
        call,
        if ended {
            Reached::End
        } else {
            Reached::Sending
        },
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_while_connections_are_cut_have_one_end_each() {
    let server = Server::start();
    let (store, admin) = (server.connect().await, server.admin().await);
    let callers = (0..CALLERS).map(|caller| {
        let writer = store.writer();
        tokio::spawn(async move {
            let mut calls = Vec::new();
            for number in 0..CALLS {
                calls.extend(call(&writer, &format!("act_{caller}_{number}")).await);
            }
            calls
        })
    });
    let callers = join_all(callers.collect::<Vec<_>>());
    let cut = async {
        loop {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'actor-tokens'";
            admin.0.query(sql, &[]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let calls = tokio::select! {
        calls = soon(callers) => calls,
        () = cut => unreachable!(),
    };
    let calls: HashMap<_, _> = calls.into_iter().flat_map(Result::unwrap).collect();
    until(async || store.is_available().await).await;
    soon(store.writer().flush()).await.unwrap();

    // The same number of ends as of begins, and the unique index allows no second one.
    let sql =
        "SELECT count(*) FILTER (WHERE event = 'begin') = count(*) FILTER (WHERE event = 'end')
        AND count(*) FILTER (WHERE event = 'late') = 0 FROM records";
    until(async || admin.value(sql, &[]).await).await;
    for (call, reached) in calls {
        let sql =
            r#"SELECT concat_ws(' ', "end", sending_at IS NOT NULL) FROM calls WHERE call = $1"#;
        let row = admin.column(sql, &[&call.to_string()]).await;
        // An entry that was not acknowledged may be durable.
        let expected: &[&str] = match reached {
            Reached::Begin => &["abandoned f", "abandoned t"],
            Reached::Sending | Reached::End => &["returned t"],
        };
        assert!(
            row.len() == 1 && expected.contains(&&*row[0]),
            "{reached:?} {row:?}"
        );
    }
    let verified = verify(server.config(), None).await.unwrap();
    assert!(verified.len() > 1, "no connection was cut");
}
