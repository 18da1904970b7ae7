//! Text to tokens and back: byte-level BPE in the `tokenizer.json` format.

use std::{fs, path::Path};

use tokenizers::{
    AddedToken, TokenizerImpl,
    decoders::byte_level::ByteLevel as ByteLevelDecoder,
    models::bpe::{BPE, BpeTrainer},
    normalizers::unicode::NFC,
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
    processors::byte_level::ByteLevel as ByteLevelProcessor,
    tokenizer::normalizer::SplitDelimiterBehavior,
};

use crate::ModelError;

/// The token that ends a completion in tokenizers trained here.
const END: &str = "<|endoftext|>";

/// How Qwen2 tokenizers cut text into words: single digits, letters with one leading mark.
/// `transformers` puts this pattern in place of whatever a `qwen2` checkpoint says, so the
/// tokenizers trained here use it too.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

fn wrong(e: impl ToString) -> ModelError {
    ModelError::Tokenizer(e.to_string())
}

impl Tokenizer {
    /// Loads `tokenizer.json` of a directory.
    ///
    /// # Errors
    /// If it is missing or malformed.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let bytes = fs::read(&path).map_err(|e| ModelError::io(&path, e))?;
        Self::from_bytes(&bytes)
    }

    /// A tokenizer from the contents of `tokenizer.json`.
    ///
    /// # Errors
    /// If they are malformed.
    pub fn from_bytes(json: &[u8]) -> Result<Self, ModelError> {
        Ok(Self { inner: tokenizers::Tokenizer::from_bytes(json).map_err(wrong)? })
    }

    /// The contents of `tokenizer.json`.
    ///
    /// # Errors
    /// If it cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        Ok(self.inner.to_string(true).map_err(wrong)?.into_bytes())
    }

    /// Trains a byte-level BPE of `vocab_size` entries, the end token being the first.
    ///
    /// # Errors
    /// If training fails.
    pub fn train<'a>(
        texts: impl Iterator<Item = &'a str> + Send,
        vocab_size: usize,
    ) -> Result<Self, ModelError> {
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(END, true)])
            .build();
        let split = SplitPattern::Regex(WORDS.to_string());
        let split = Split::new(split, SplitDelimiterBehavior::Isolated, false).map_err(wrong)?;
        let bytes = ByteLevel::new(false, false, false);
        let words = Sequence::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(bytes),
        ]);
        let mut inner: TokenizerImpl<BPE, NFC, Sequence, ByteLevelProcessor, ByteLevelDecoder> =
            TokenizerImpl::new(BPE::default());
        inner
            .with_normalizer(Some(NFC))
            .with_pre_tokenizer(Some(words))
            .with_post_processor(Some(ByteLevelProcessor::new(false, false, false)))
            .with_decoder(Some(ByteLevelDecoder::new(false, false, false)));
        inner.train(&mut trainer, texts).map_err(wrong)?;
        let json = inner.to_string(false).map_err(wrong)?;
        Self::from_bytes(json.as_bytes())
    }

    /// The tokens of a text, with nothing added.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.inner.encode_fast(text, false).map_err(wrong)?.get_ids().to_vec())
    }

    /// The tokens of a text, with what the tokenizer puts around one: for many Llama models a
    /// token that begins it.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.inner.encode_fast(text, true).map_err(wrong)?.get_ids().to_vec())
    }

    /// The token that a special text stands for.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The text of tokens, special ones left out.
    ///
    /// # Errors
    /// If a token is unknown.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(tokens, true).map_err(wrong)
    }

    /// The text of one token as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Entries, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}
