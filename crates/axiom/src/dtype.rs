//! How weights are held in memory, and how they are written.

use model::{Dtype, Precision};

/// How matrices that do not learn are held in memory.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum LoadDtype {
    /// As they are stored.
    Auto,
    /// Four bytes a weight.
    Float32,
    /// Two bytes.
    Bfloat16,
    /// Two bytes.
    Float16,
    /// One byte, with a scale for 64 weights.
    Int8,
    /// Half a byte, with a scale for 64 weights (QLoRA's).
    Nf4,
}

impl LoadDtype {
    /// None: as stored.
    pub(crate) fn precision(self) -> Option<Precision> {
        Some(match self {
            Self::Auto => return None,
            Self::Float32 => Precision::Float32,
            Self::Bfloat16 => Precision::Bfloat16,
            Self::Float16 => Precision::Float16,
            Self::Int8 => Precision::Int8,
            Self::Nf4 => Precision::Nf4,
        })
    }
}

/// How weights are written.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum SaveDtype {
    /// As they are computed with.
    Float32,
    /// Rounded, in half the size.
    Bfloat16,
    /// Rounded, in half the size.
    Float16,
}

impl SaveDtype {
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::Float32 => Dtype::F32,
            Self::Bfloat16 => Dtype::Bf16,
            Self::Float16 => Dtype::F16,
        }
    }
}
