//! [`Over`], which transport a row is run over.

/// Which transport a row is run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Over {
    /// The default.
    #[default]
    Pool,
    /// hyper-util's client.
    Client,
}

impl Over {
    pub(crate) const ALL: [Self; 2] = [Self::Pool, Self::Client];

    /// The name of a row over it.
    pub(crate) fn name(self, row: &str) -> String {
        match self {
            Self::Pool => row.to_owned(),
            Self::Client => format!("{row} (hyper-util's client)"),
        }
    }
}
