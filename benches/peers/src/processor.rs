//! Which processor a process keeps to.

use crate::Error;

/// Client and server have a processor of their own each: where they share one now and then, that is
/// what a measurement shows.
#[derive(Clone, Copy, Debug)]
pub enum Processor {
    /// The first one, which more often than others has something else to do, too.
    OfTheServer,
    OfTheClient,
}

impl Processor {
    /// Keeps this process to it, and those that it begins, where there is more than one.
    #[cfg(target_os = "linux")]
    pub fn keep_to(self) -> Result<(), Error> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let allowed = sched_getaffinity(None)?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it));
        let chosen = match self {
            Self::OfTheServer => processors.next(),
            Self::OfTheClient => processors.next_back(),
        };
        let mut only = CpuSet::new();
        only.set(chosen.ok_or("no processor")?);
        Ok(sched_setaffinity(None, &only)?)
    }

    /// Leaves it to the system.
    #[cfg(not(target_os = "linux"))]
    pub fn keep_to(self) -> Result<(), Error> {
        Ok(())
    }
}
