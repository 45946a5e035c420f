//! What holds of attempts in every order that threads can act in.

use std::sync::Arc;

use loom::thread;

use super::{Attempt, Progress};
use crate::Outcome;

/// The last attempt of a call, and a clone for the transport; the earlier ones were not sent.
fn begin(progress: &Arc<Progress>, earlier: u32) -> (Attempt, Attempt) {
    let mut attempt = Attempt::none_of(Arc::clone(progress));
    for _ in 0..earlier {
        attempt.become_next();
        attempt.end(Outcome::NotSent);
    }
    attempt.become_next();
    (attempt.clone(), attempt)
}

#[test]
fn a_body_that_is_not_sent_is_told_from_one_that_may_be() {
    for earlier in [0, 1] {
        loom::model(move || {
            let progress = Arc::default();
            let (attempt, transport) = begin(&progress, earlier);
            let transport = thread::spawn(move || transport.take());
            let too_late = attempt.withdraw();
            let outcome = progress.outcome();
            let sent = transport.join().unwrap();
            assert_eq!(too_late, sent);
            let expected = [Outcome::NotSent, Outcome::Unknown][usize::from(sent)];
            assert_eq!(outcome, expected);
        });
    }
}

#[test]
fn what_may_have_been_sent_is_never_said_not_to_have_been() {
    for earlier in [0, 1] {
        loom::model(move || {
            let progress = Arc::<Progress>::default();
            let (_attempt, transport) = begin(&progress, earlier);
            let seen = Arc::clone(&progress);
            let observer = thread::spawn(move || (seen.outcome(), seen.outcome()));
            transport.take();
            transport.end(Outcome::Rejected);
            let (one, other) = observer.join().unwrap();
            assert!(one == Outcome::NotSent || other != Outcome::NotSent);
            assert_eq!(progress.outcome(), Outcome::Rejected);
        });
    }
}

#[test]
fn what_begins_while_a_call_is_ended_is_told_or_not_sent() {
    for earlier in [0, 1] {
        loom::model(move || {
            let progress = Arc::<Progress>::default();
            let mut attempt = Attempt::none_of(Arc::clone(&progress));
            for _ in 0..earlier {
                attempt.become_next();
                attempt.end(Outcome::NotSent);
            }
            let below = thread::spawn(move || {
                attempt.become_next();
                attempt.take()
            });
            progress.close();
            let told = progress.outcome();
            assert!(!below.join().unwrap() || told == Outcome::Unknown);
        });
    }
}

#[test]
fn what_is_sent_once_more_while_it_is_given_up_is_told_or_not_sent() {
    loom::model(|| {
        let (attempt, mut below) = begin(&Arc::default(), 0);
        let below = thread::spawn(move || {
            below.become_repeated();
            below.take()
        });
        let told = attempt.give_up();
        assert!(!below.join().unwrap() || told);
    });
}

#[test]
fn what_is_sent_once_more_while_it_is_settled_is_told_or_not_sent() {
    loom::model(|| {
        let (attempt, before) = begin(&Arc::default(), 0);
        let below = thread::spawn(move || {
            let mut again = before.clone();
            again.become_repeated();
            again.send_unseen(&before);
            again.take()
        });
        let told = attempt.withdraw_unseen();
        assert!(!below.join().unwrap() || told);
    });
}
