//! How weights are held in memory and multiplied, and how they are written.

use model::{Dtype, MatmulPrecision, Model, Precision};

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

/// How exactly matrices are multiplied, in PyTorch's words.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub(crate) enum Matmul {
    /// `medium` where the weights are held in bfloat16, int8 or NF4, else `highest`.
    Auto,
    /// In float32, with the same bits on every processor with fused multiply-add.
    Highest,
    /// Each number as the sum of two in bfloat16, where the processor has AMX.
    High,
    /// Each number rounded to bfloat16, where the processor has AMX or AVX512_BF16.
    Medium,
}

impl Matmul {
    /// What it means for a model.
    pub(crate) fn precision(self, model: &Model) -> MatmulPrecision {
        let rounded = [Precision::Bfloat16, Precision::Int8, Precision::Nf4];
        match self {
            Self::Auto if model.held().is_some_and(|held| rounded.contains(&held)) => {
                MatmulPrecision::Medium
            }
            Self::Auto | Self::Highest => MatmulPrecision::Highest,
            Self::High => MatmulPrecision::High,
            Self::Medium => MatmulPrecision::Medium,
        }
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
