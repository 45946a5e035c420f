//! The places of a `MemorySink`: a call reserves those of its mark and its end.

use std::sync::Arc;

use clerk_actor_tokens_policy::{
    CallId,
    audit::{
        AuditRecord, AuditSink, Begin, End, Entry, Event, FollowUp, MemoryRecord, MemorySink,
        SinkUnavailable,
    },
};

use crate::{create, words};

async fn begin(sink: &MemorySink) -> Result<MemoryRecord, SinkUnavailable> {
    sink.begin(CallId::create(), Begin::of(&create())).await
}

#[tokio::test]
async fn call_begins_if_there_is_room_for_its_mark_and_its_end() {
    assert!(begin(&MemorySink::with_capacity(2)).await.is_err());
    assert!(begin(&MemorySink::with_capacity(3)).await.is_ok());
}

#[tokio::test]
async fn place_is_free_for_others_once_it_is_not_needed() {
    let sink = MemorySink::with_capacity(5);
    begin(&sink)
        .await
        .unwrap()
        .end(End::Abandoned)
        .await
        .unwrap();
    let mut record = begin(&sink).await.unwrap();
    sink.follow_up(CallId::create(), FollowUp::Accepted);
    assert_eq!(sink.dropped_follow_ups(), 1, "its place is reserved");
    record.sending().await.unwrap();
    record.sending().await.unwrap();
    drop(record);
    assert_eq!(
        words(&sink),
        ["begin", "abandoned", "begin", "sending", "abandoned"]
    );

    let sink = MemorySink::with_capacity(4);
    let mut record = begin(&sink).await.unwrap();
    record.sending().await.unwrap();
    sink.follow_up(CallId::create(), FollowUp::Accepted);
    record.end_on_drop(End::Abandoned);
    assert_eq!(words(&sink), ["begin", "sending", "Accepted", "abandoned"]);
    assert_eq!(sink.dropped_follow_ups(), 0);
}

#[tokio::test]
async fn sink_in_an_arc_writes_to_the_sink_inside() {
    let memory = MemorySink::new();
    let sink = Arc::new(memory.clone());
    let call = CallId::create();
    drop(sink.begin(call, Begin::of(&create())).await.unwrap());
    let late = Entry::new(call, Event::Sending);
    AuditSink::late(&sink, vec![late]).await.unwrap();
    AuditSink::follow_up(&sink, call, FollowUp::Accepted);
    let expected = ["begin", "abandoned", "sending", "Accepted"];
    assert_eq!(words(&memory), expected);
}
