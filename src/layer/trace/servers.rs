//! [`Servers`], where attempts may go.

use http::Request;

use crate::{BaseUrl, Payload};

/// The base URLs that the client knows. No other name is ever told, so that no caller can fill a
/// metric with names.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    base: Option<BaseUrl>,
    allowed: Vec<BaseUrl>,
}

impl Servers {
    pub(super) fn set_base(&mut self, base: BaseUrl) {
        self.base = Some(base);
    }

    pub(super) fn allow(&mut self, other: BaseUrl) {
        self.allowed.push(other);
    }

    /// Host and port that a request goes to.
    pub(super) fn of<'a>(&'a self, request: &'a Request<Payload>) -> Option<(&'a str, u16)> {
        let options = request.body().options();
        let own = options.and_then(|options| options.base_url.as_ref());
        let server = match own {
            None => self.base.as_ref(),
            Some(own) => self
                .base
                .iter()
                .chain(&self.allowed)
                .find(|it| it.has_same_authority(own)),
        };
        server.map(BaseUrl::server)
    }
}
