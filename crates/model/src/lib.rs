//! Tokens in, logits out, and back: the transformer on the CPU.
//!
//! One copy of the weights serves sampling, scoring and learning. [`Model::forward`] and
//! [`Model::backward`] work on a [`Chunk`] of packed sequences; [`Decoder`] produces one token
//! at a time from a cache. Both run the same kernels in the same order, so a sampled log-prob
//! has the very bits that training computes for it.

mod adapter;
mod chat;
mod checkpoint;
mod chunk;
mod config;
mod decoder;
mod error;
mod fields;
mod layout;
mod linear;
mod memory;
mod model;
mod ops;
mod share;
mod tape;
mod team;
mod tensors;
mod tokenizer;
mod transformer;

pub use adapter::AdapterSpec;
pub use chat::{ChatTemplate, Message};
pub use chunk::{Chunk, Segment, in_common};
pub use config::{Config, Dtype, Family};
pub use decoder::{Decoder, Next};
pub use error::ModelError;
pub use layout::{Entry, Layout};
pub use memory::{Decoding, Load, Memory, stored_precision};
pub use model::{Hold, Model};
pub use ops::{
    AdamW, CacheLines, Cpu, Isa, MatmulPrecision, Precision, Unit, adamw, seam, seam::Ops,
    sum_of_squares,
};
pub use share::{share, share_with};
pub use tape::{Hidden, Slopes, Tape};
pub use team::{each, team};
pub use tensors::{read_tensors, write_tensors};
pub use tokenizer::Tokenizer;
