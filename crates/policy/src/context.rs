//! [`CallContext`], the extension of a request that the layers of this crate share.

use std::sync::Arc;

use http::Extensions;

use crate::{CallId, Reason, audit::Barrier};

/// The facts of a call that the layers above put into the extensions of the request for those below. It is
/// one type, because the layers below clone the box of each extension.
#[derive(Clone)]
pub(crate) struct CallContext {
    pub(crate) call: CallId,
    /// The record of the call, until the barrier takes it.
    pub(crate) barrier: Option<Arc<dyn Barrier>>,
    /// The reason of an attributed call, before Attribution cut it.
    pub(crate) reason: Option<Option<Reason>>,
}

impl CallContext {
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Returns the context of this call. It keeps what a layer above has put into it.
    pub(crate) fn of_call(call: CallId, extensions: &mut Extensions) -> &mut Self {
        let context = extensions.get_or_insert_with(|| Self {
            call,
            barrier: None,
            reason: None,
        });
        context.call = call;
        context
    }
}
