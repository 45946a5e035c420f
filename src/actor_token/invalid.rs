//! [`InvalidActorToken`], why a text is not an actor token.

/// Why a text is not an actor token. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidActorToken(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the answer breaks off at line {line}, column {column}")]
    Cut { line: usize, column: usize },
    #[error("the answer is not the JSON of a token, at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("the answer has no valid id")]
    Id,
    #[error("the answer has an actor that cannot be read")]
    Actor,
}

impl InvalidActorToken {
    pub(super) fn without_id() -> Self {
        Self(Reason::Id)
    }

    pub(super) fn without_actor() -> Self {
        Self(Reason::Actor)
    }

    /// Whether the answer is a JSON object in full, so that it does speak of a token.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self.0, Reason::Id | Reason::Actor)
    }

    /// Keeps where the error is; what stands there may be secret.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self(if error.is_eof() {
            Reason::Cut { line, column }
        } else {
            Reason::Json { line, column }
        })
    }
}
