//! What can go wrong with a checkpoint.

use std::path::PathBuf;

/// An error of this crate: a file that cannot be read, or a model that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the checkpoint cannot be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `config.json` asks for something this engine does not do.
    #[error("unsupported config.json: {0}")]
    Config(String),
    /// A tensor is missing, has another shape or another type.
    #[error("bad checkpoint: {0}")]
    Tensors(String),
    /// An adapter asks for something this engine does not do, or does not fit the model.
    #[error("adapter: {0}")]
    Adapter(String),
    /// A chat template cannot be read, or refuses a conversation.
    #[error("chat template: {0}")]
    Chat(String),
    /// The tokenizer cannot be read or trained, or refuses a text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A request that the model cannot serve: a token out of range, a sequence too long.
    #[error("{0}")]
    Input(String),
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
