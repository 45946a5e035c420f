//! Pinning a process to a processor.

use crate::Error;

/// Client and server each have their own processor, because sharing one dominates a measurement.
#[derive(Clone, Copy, Debug)]
pub enum Processor {
    /// The first one, which has the most other load.
    Server,
    Client,
}

impl Processor {
    /// Pins this process and its children.
    #[cfg(target_os = "linux")]
    pub fn pin(self) -> Result<(), Error> {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let allowed = sched_getaffinity(None)?;
        let mut processors = (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it));
        let chosen = match self {
            Self::Server => processors.next(),
            Self::Client => processors.next_back(),
        };
        let mut only = CpuSet::new();
        only.set(chosen.ok_or("no processor")?);
        Ok(sched_setaffinity(None, &only)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn pin(self) -> Result<(), Error> {
        Ok(())
    }
}
