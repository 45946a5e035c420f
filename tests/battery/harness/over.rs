//! [`Over`], which transport a row is run over.

/// Which transport a row is run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Over {
    /// hyper-util's client, the default.
    #[default]
    Client,
    /// The one over hyper-util's composable pool.
    #[cfg(feature = "pool")]
    Pool,
}

impl Over {
    pub(crate) const ALL: &[Self] = &[
        Self::Client,
        #[cfg(feature = "pool")]
        Self::Pool,
    ];

    /// The name of a row over it.
    pub(crate) fn name(self, row: &str) -> String {
        match self {
            Self::Client => row.to_owned(),
            #[cfg(feature = "pool")]
            Self::Pool => format!("{row} (pool)"),
        }
    }
}
