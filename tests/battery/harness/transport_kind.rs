//! The transports that each row runs over.

/// The transport of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TransportKind {
    /// The default.
    #[default]
    Pooled,
    /// hyper-util's client.
    Hyper,
}

impl TransportKind {
    pub(crate) const ALL: [Self; 2] = [Self::Pooled, Self::Hyper];

    /// Returns the name of a row over this transport.
    pub(crate) fn name(self, row: &str) -> String {
        match self {
            Self::Pooled => row.to_owned(),
            Self::Hyper => format!("{row} (hyper-util's client)"),
        }
    }
}
