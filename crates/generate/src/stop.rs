//! Texts that end a completion.

use model::{ModelError, Tokenizer};

/// Tokens whose text may depend on those before them: the pieces of a character.
const PIECES: usize = 4;

/// Texts that end a completion, and the tokenizer that says what its tokens say.
#[derive(Debug)]
pub struct StopStrings {
    strings: Vec<String>,
    tokenizer: Tokenizer,
    /// No stop string is longer than the text of so many tokens.
    tokens_max: usize,
}

impl StopStrings {
    /// Those of `strings`; none must be empty.
    pub fn new(strings: Vec<String>, tokenizer: Tokenizer) -> Self {
        let tokens_max = strings.iter().map(String::len).max().unwrap_or(0) + PIECES;
        Self { strings, tokenizer, tokens_max }
    }

    /// Whether the last token completes one of them.
    pub(crate) fn end(&self, tokens: &[u32]) -> Result<bool, ModelError> {
        let tail = &tokens[tokens.len().saturating_sub(self.tokens_max)..];
        let text = self.tokenizer.decode(tail)?;
        Ok(self.strings.iter().any(|stop| text.contains(stop)))
    }

    /// The text before the first of them, or all of it.
    pub fn cut<'a>(&self, text: &'a str) -> &'a str {
        let first = self.strings.iter().filter_map(|stop| text.find(stop)).min();
        &text[..first.unwrap_or(text.len())]
    }
}
