//! [`InvalidActorToken`], the error of a response that is not an actor token.

/// Why JSON could not be read as an actor token. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct InvalidActorToken(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the response ends early, at line {line}, column {column}")]
    Incomplete { line: usize, column: usize },
    #[error("the response is not the JSON of a token, at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("the response is an array, not a token")]
    Array,
    #[error("the response has no valid id")]
    Id,
}

impl InvalidActorToken {
    pub(super) fn array() -> Self {
        Self(Reason::Array)
    }

    pub(super) fn without_id() -> Self {
        Self(Reason::Id)
    }

    /// Keeps only the position, because the text may be secret.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self(if error.is_eof() {
            Reason::Incomplete { line, column }
        } else {
            Reason::Json { line, column }
        })
    }

    /// Whether the response is a complete JSON object, and so comes from the API.
    pub(crate) fn is_complete(self) -> bool {
        matches!(self.0, Reason::Id)
    }
}
