//! The transitions of a [`CallRecord`].

use http::StatusCode;

use super::*;

const ENDS: [Outcome; 4] = [
    Outcome::NotSent,
    Outcome::Rejected,
    Outcome::Unknown,
    Outcome::Applied,
];

fn call() -> Arc<CallRecord> {
    CallRecord::inside(None)
}

fn phase(attempt: &Attempt) -> Phase {
    attempt.with(|state| state.phase)
}

#[test]
fn body_is_taken_or_withdrawn_whichever_is_first_and_neither_after_the_end() {
    type Step = fn(&Attempt) -> bool;
    let (take, withdraw): (Step, Step) = (|it| it.take(false), Attempt::withdraw);
    // hyper asks an empty body more than once, and a body may be withdrawn more than once.
    let steps: [(&[Step], [bool; 2], Phase, Outcome); 3] = [
        (&[], [true, false], Phase::Open, Outcome::NotSent),
        (&[take], [true, false], Phase::Taken, Outcome::Unknown),
        (
            &[withdraw],
            [false, true],
            Phase::Withdrawn,
            Outcome::NotSent,
        ),
    ];
    for (steps, [takes, withdraws], expected, outcome) in steps {
        let begin = || {
            let attempt = call().begin_attempt();
            assert!(steps.iter().all(|step| step(&attempt)));
            attempt
        };
        let attempt = begin();
        assert_eq!(
            (phase(&attempt), attempt.record.outcome()),
            (expected, outcome)
        );
        assert_eq!(attempt.is_withdrawn(), expected == Phase::Withdrawn);
        assert_eq!([take(&attempt), withdraw(&attempt)], [takes, withdraws]);
        for outcome in ENDS {
            let attempt = begin();
            attempt.end(outcome);
            assert!(attempt.has_ended() && !take(&attempt) && !withdraw(&attempt));
            assert_eq!(attempt.record.outcome(), outcome);
        }
    }
}

#[test]
fn greatest_outcome_of_all_attempts_counts() {
    let record = call();
    assert_eq!((record.attempts(), record.outcome()), (0, Outcome::NotSent));
    let attempts: Vec<_> = (0..3).map(|_| record.begin_attempt()).collect();
    let numbers: Vec<_> = attempts.iter().map(Attempt::number).collect();
    assert_eq!((record.attempts(), numbers), (3, vec![1, 2, 3]));
    attempts[2].end(Outcome::Rejected);
    assert_eq!(record.outcome(), Outcome::Rejected);
    assert!(attempts[1].take(false));
    assert_eq!(record.outcome(), Outcome::Unknown);
    attempts[1].end(Outcome::NotSent);
    assert_eq!(record.outcome(), Outcome::Rejected);
    assert_eq!(phase(&attempts[0]), Phase::Open);
}

#[test]
fn closed_record_withdraws_open_and_later_attempts() {
    let record = call();
    let (open, rejected) = (record.begin_attempt(), record.begin_attempt());
    assert!(rejected.take(false));
    rejected.end(Outcome::Rejected);
    let summary = record.close();
    assert_eq!((summary.outcome, summary.attempts), (Outcome::Rejected, 2));
    assert!(!open.take(false));
    assert!(!record.begin_attempt().take(false));
    assert_eq!(record.outcome(), Outcome::Rejected);
}

#[test]
fn record_in_doubt_is_not_closed() {
    let record = call();
    let (sent, open) = (record.begin_attempt(), record.begin_attempt());
    assert!(sent.take(false));
    assert_eq!(record.close().outcome, Outcome::Unknown);
    assert!(open.take(false));
    assert!(record.begin_attempt().take(false));
}

#[test]
fn call_is_applied_whatever_its_attempts_say_and_keeps_its_first_lost_token() {
    let record = call();
    record.begin_attempt().end(Outcome::Rejected);
    assert_eq!(record.outcome(), Outcome::Rejected);
    record.note_applied();
    assert_eq!(record.outcome(), Outcome::Applied);
    let ids = ["act_1", "act_2"].map(|id| id.parse().unwrap());
    ids.iter().for_each(|id| record.note_lost(id));
    let summary = record.summary();
    assert_eq!(summary.outcome, Outcome::Applied);
    assert_eq!(summary.lost.as_ref(), ids.first());
}

#[test]
fn followed_attempt_is_settling_until_settle_stops() {
    let record = call();
    let attempt = record.begin_attempt();
    assert!(attempt.take(false));
    attempt.set_followed(true);
    assert!(attempt.is_followed() && record.summary().is_settling);
    // A timeout ends the attempt for its caller, not for Settle.
    attempt.end(Outcome::Unknown);
    assert!(attempt.is_followed() && record.summary().is_settling);
    attempt.set_followed(false);
    assert!(!attempt.is_followed() && !record.summary().is_settling);
}

#[test]
fn attempt_keeps_the_failed_head_and_the_body_that_were_received() {
    let attempt = call().begin_attempt();
    assert_eq!(attempt.failed_head(), None);
    let head = ResponseHead {
        status: StatusCode::BAD_GATEWAY,
        retry_after: Some(Duration::from_secs(1)),
        trace_id: Some("trace".to_owned()),
    };
    attempt.note_failed_head(head.clone());
    assert_eq!(attempt.failed_head(), Some(head));
    for (frame, fits) in [("", true), ("ab", true), ("cd", true), ("ef", false)] {
        assert_eq!(attempt.receive(Bytes::from(frame), 5), fits, "{frame}");
    }
    assert_eq!(attempt.received(), "abcde");
    assert_eq!(attempt.take_received(), "abcde");
    assert_eq!(attempt.received(), "");
}

mod inside_an_outer_record {
    use super::*;

    fn nested() -> (Arc<CallRecord>, Arc<CallRecord>) {
        let outer = call();
        (CallRecord::inside(Some(Arc::clone(&outer))), outer)
    }

    #[test]
    fn attempt_is_one_of_both_records() {
        let (inner, outer) = nested();
        let attempt = inner.begin_attempt();
        assert_eq!((inner.attempts(), outer.attempts()), (1, 1));
        assert!(attempt.take(false));
        assert_eq!(outer.outcome(), Outcome::Unknown);
        attempt.set_followed(true);
        assert!(outer.summary().is_settling);
        attempt.end(Outcome::Rejected);
        assert_eq!(outer.outcome(), Outcome::Rejected);
        attempt.set_followed(false);
        assert!(!outer.summary().is_settling);
    }

    #[test]
    fn withdrawing_reaches_the_outer_record() {
        let (inner, outer) = nested();
        let attempt = inner.begin_attempt();
        assert!(attempt.withdraw());
        assert!(!outer.lock().first.as_mut().unwrap().take(false));
    }

    #[test]
    fn closing_the_outer_record_withdraws_the_attempts_of_the_inner_one() {
        let (inner, outer) = nested();
        let open = inner.begin_attempt();
        assert_eq!(outer.close().outcome, Outcome::NotSent);
        assert!(!open.take(false) && open.is_withdrawn());
        assert!(!inner.begin_attempt().take(false));
    }

    #[test]
    fn closing_the_inner_record_leaves_the_outer_one_open() {
        let (inner, outer) = nested();
        inner.begin_attempt();
        inner.close();
        let other = CallRecord::inside(Some(Arc::clone(&outer)));
        assert!(other.begin_attempt().take(false));
        assert_eq!(
            (inner.outcome(), outer.outcome()),
            (Outcome::NotSent, Outcome::Unknown)
        );
        assert_eq!(outer.attempts(), 2);
    }

    #[test]
    fn facts_of_the_call_reach_the_outer_record() {
        let (inner, outer) = nested();
        inner.set_lifetime(Duration::from_secs(60));
        inner.note_lost(&"act_1".parse().unwrap());
        let summary = outer.summary();
        assert_eq!(summary.outcome, Outcome::Applied);
        assert!(summary.lost.is_some() && summary.exposed_until().is_some());
    }
}

#[test]
fn body_is_taken_or_withdrawn_but_never_both_by_two_threads() {
    for _ in 0..1000 {
        let record = call();
        let attempt = record.begin_attempt();
        let taker = attempt.clone();
        let taken = std::thread::spawn(move || taker.take(false));
        let withdrawn = attempt.withdraw();
        let taken = taken.join().unwrap();
        assert_ne!(taken, withdrawn);
        assert_eq!(record.outcome() == Outcome::Unknown, taken);
    }
}

#[test]
fn status_of_the_transport_decides_else_that_of_the_response_if_none_is_recorded() {
    use Outcome::{NotSent, Rejected, Unknown};

    let status = |status| StatusCode::from_u16(status).unwrap();
    // Whether a body that was taken is watched, the status of the transport, and the status that arrives.
    let rows = [
        (Some(true), Some(401), 200, Rejected),
        (Some(true), Some(503), 400, Unknown),
        (Some(true), Some(408), 400, Unknown),
        (Some(true), None, 429, Unknown),
        (Some(true), None, 503, Unknown),
        (Some(false), None, 200, Unknown),
        (Some(false), None, 302, Unknown),
        (Some(false), None, 400, Rejected),
        (Some(false), None, 408, Unknown),
        (Some(false), None, 460, Unknown),
        (Some(false), None, 499, Unknown),
        (Some(false), None, 429, Rejected),
        (Some(false), None, 503, Unknown),
        (None, None, 200, NotSent),
        (None, None, 400, NotSent),
        (None, None, 502, NotSent),
    ];
    for (taken, responded, shown, expected) in rows {
        let attempt = call().begin_attempt();
        if let Some(is_watched) = taken {
            assert!(attempt.take(is_watched));
        }
        if let Some(responded) = responded {
            attempt.note_response(status(responded));
        }
        let case = format!("{taken:?} {responded:?} {shown}");
        assert_eq!(attempt.outcome_of(status(shown)), expected, "{case}");
        assert_eq!(attempt.end_with(status(shown)), expected, "{case}");
        assert!(attempt.has_ended() && !attempt.take(true), "{case}");
    }
}
