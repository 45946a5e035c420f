use super::*;
use crate::call::state::OPEN;

fn begin(progress: &Arc<Progress>) -> Attempt {
    let mut attempt = Attempt::none_of(Arc::clone(progress));
    attempt.become_next();
    attempt
}

#[test]
fn a_withdrawn_body_can_never_be_taken() {
    let progress = Arc::default();
    let attempt = begin(&progress);
    assert!(!attempt.withdraw());
    assert!(!attempt.take());
    assert_eq!(progress.outcome(), Outcome::NotSent);
}

#[test]
fn a_taken_body_leaves_the_call_in_doubt_until_its_attempt_ends() {
    let progress = Arc::default();
    let attempt = begin(&progress);
    assert!(attempt.take());
    assert!(attempt.withdraw());
    assert_eq!(progress.outcome(), Outcome::Unknown);
    attempt.end(Outcome::Rejected);
    assert_eq!(progress.outcome(), Outcome::Rejected);
}

#[test]
fn whoever_withdraws_too_late_learns_that_the_call_is_in_doubt() {
    for earlier in [0, 1] {
        for _ in 0..2_000 {
            let progress = Arc::default();
            for _ in 0..earlier {
                begin(&progress).end(Outcome::NotSent);
            }
            let attempt = begin(&progress);
            std::thread::scope(|threads| {
                threads.spawn(|| attempt.take());
                while attempt.state().claim() == OPEN {
                    std::hint::spin_loop();
                }
                assert!(attempt.withdraw());
                assert_eq!(progress.outcome(), Outcome::Unknown);
            });
        }
    }
}

#[test]
fn what_was_not_taken_when_an_attempt_ended_is_never_taken() {
    for withdrawn_before in [false, true] {
        let attempt = begin(&Arc::default());
        if withdrawn_before {
            attempt.withdraw();
        }
        attempt.end(Outcome::NotSent);
        assert!(!attempt.take(), "withdrawn before: {withdrawn_before}");
    }
}

#[test]
fn a_later_attempt_does_not_hide_what_an_earlier_one_may_have_done() {
    let progress = Arc::default();
    let first = begin(&progress);
    first.take();
    first.end(Outcome::Unknown);
    let second = begin(&progress);
    second.end(Outcome::NotSent);
    assert_eq!((second.number(), progress.attempts()), (2, 2));
    assert_eq!(progress.outcome(), Outcome::Unknown);
}
