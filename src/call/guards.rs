//! [`Guards`], which answer for the tokens in the answers of one call.

use std::sync::Arc;

use crate::guard::Guard;

/// Mostly one; several where several attempts were made at once, and were answered.
#[derive(Default)]
pub(crate) enum Guards {
    #[default]
    None,
    One(Arc<dyn Guard>),
    Several(Vec<Arc<dyn Guard>>),
    /// Nobody reads an answer any more.
    Closed,
}

impl Guards {
    /// Adds another one, or gives it back.
    pub(super) fn add(&mut self, guard: Arc<dyn Guard>) -> Option<Arc<dyn Guard>> {
        *self = match std::mem::take(self) {
            Self::None => Self::One(guard),
            Self::One(first) => Self::Several(vec![first, guard]),
            Self::Several(mut guards) => {
                guards.push(guard);
                Self::Several(guards)
            }
            Self::Closed => {
                *self = Self::Closed;
                return Some(guard);
            }
        };
        None
    }

    pub(crate) fn for_each(self, mut each: impl FnMut(Arc<dyn Guard>)) {
        match self {
            Self::None | Self::Closed => {}
            Self::One(guard) => each(guard),
            Self::Several(guards) => guards.into_iter().for_each(each),
        }
    }
}
