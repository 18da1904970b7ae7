//! Checkpoints: Hugging Face directories, in and out.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Config, Layout, Model, ModelError};

impl Model {
    /// Loads `config.json` and `model.safetensors` of a directory.
    ///
    /// # Errors
    /// If a file is missing or does not fit this engine; the message names the field or tensor.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let config = fs::read_to_string(&path).map_err(|e| ModelError::io(&path, e))?;
        let path = dir.join("model.safetensors");
        let weights = fs::read(&path).map_err(|e| ModelError::io(&path, e))?;
        Self::from_bytes(&config, &weights)
    }

    /// A model from the contents of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(config: &str, weights: &[u8]) -> Result<Self, ModelError> {
        let config = Config::parse(config)?;
        let layout = Layout::new(&config);
        let params = read_layout(&layout, weights)?;
        Ok(Self::new(config, params))
    }

    /// `config.json` and `model.safetensors`, as bytes.
    ///
    /// # Errors
    /// If they cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
        let config = serde_json::to_vec_pretty(&self.config)
            .map_err(|e| ModelError::Config(e.to_string()))?;
        let parts: Vec<(&str, &[usize], &[f32])> = self
            .layout
            .entries
            .iter()
            .map(|e| (e.name.as_str(), &e.shape[..], &self.params[e.range.clone()]))
            .collect();
        Ok((config, write_tensors(&parts)?))
    }
}

/// Serialises named f32 tensors in the safetensors format.
///
/// # Errors
/// If a shape does not fit its data.
pub fn write_tensors(parts: &[(&str, &[usize], &[f32])]) -> Result<Vec<u8>, ModelError> {
    let bytes: Vec<Vec<u8>> = parts
        .iter()
        .map(|(_, _, data)| data.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let views: Result<BTreeMap<&str, TensorView<'_>>, _> = parts
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?))
        })
        .collect();
    let metadata = [("format".to_string(), "pt".to_string())].into();
    views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|e: safetensors::SafeTensorError| ModelError::Tensors(e.to_string()))
}

/// Reads every tensor of a safetensors file as f32.
///
/// # Errors
/// If the file is damaged or holds a type other than f32 and bf16.
pub fn read_tensors(bytes: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, ModelError> {
    let tensors = open(bytes)?;
    tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| Ok((name.clone(), floats(&name, &view)?)))
        .collect()
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, ModelError> {
    SafeTensors::deserialize(bytes)
        .map_err(|e| ModelError::Tensors(format!("not a safetensors file: {e}")))
}

fn read_layout(layout: &Layout, bytes: &[u8]) -> Result<Vec<f32>, ModelError> {
    let tensors = open(bytes)?;
    let mut params = Vec::with_capacity(layout.len());
    for entry in &layout.entries {
        let view = tensors
            .tensor(&entry.name)
            .map_err(|_| ModelError::Tensors(format!("no tensor `{}`", entry.name)))?;
        if view.shape() != entry.shape {
            let (name, found, expected) = (&entry.name, view.shape(), &entry.shape);
            let what = format!("`{name}` has shape {found:?}, config.json says {expected:?}");
            return Err(ModelError::Tensors(what));
        }
        params.extend(floats(&entry.name, &view)?);
    }
    if let Some(bad) = params.iter().position(|x| !x.is_finite()) {
        let entry = layout.entries.iter().find(|e| e.range.contains(&bad));
        let name = entry.map_or("?", |e| &e.name);
        return Err(ModelError::Tensors(format!("`{name}` holds a number that is not finite")));
    }
    Ok(params)
}

fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ModelError> {
    match view.dtype() {
        Dtype::F32 => {
            Ok(view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        }
        Dtype::BF16 => {
            let half = |b: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            Ok(view.data().as_chunks().0.iter().map(half).collect())
        }
        other => {
            let what = format!("`{name}` has type {other:?}; f32 and bf16 are supported");
            Err(ModelError::Tensors(what))
        }
    }
}
