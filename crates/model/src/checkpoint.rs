//! Checkpoints: Hugging Face directories, in and out.

use std::{fs, ops::Range, path::Path};

use crate::{
    Config, Cpu, Dtype, Hold, Layout, Model, ModelError,
    layout::{EMBED, Flat, HEAD, Places, linear_weight},
    ops::{Frozen, Matrix, NR, Precision},
    tensors::{Named, Source, Tensors, serialize, write_file},
};

impl Model {
    /// Loads `config.json` and the weights of a directory, in one file or several.
    ///
    /// # Errors
    /// If a file is missing or does not fit this engine; the message names the field or tensor.
    pub fn load(dir: &Path, hold: Hold) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let config = fs::read_to_string(&path).map_err(|e| ModelError::io(&path, e))?;
        Self::from_tensors(Config::parse(&config)?, &Tensors::open_model(dir)?, hold)
    }

    /// A model from the contents of `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(config: &str, weights: &[u8], hold: Hold) -> Result<Self, ModelError> {
        Self::from_tensors(Config::parse(config)?, &Tensors::from_bytes(weights)?, hold)
    }

    fn from_tensors(config: Config, tensors: &Tensors<'_>, hold: Hold) -> Result<Self, ModelError> {
        let flat = if hold == Hold::Learning { Flat::All } else { Flat::Vectors };
        let (places, layout) = Places::new(&config, flat);
        refuse_unknown(&config, &layout, tensors)?;
        let weights = read_layout(&layout, tensors)?;
        match hold {
            Hold::Learning => Ok(Self::new(config, weights)),
            Hold::Frozen(precision) => {
                let mut model = Self::of(Cpu::default(), config, (places, layout), weights);
                model.read_matrices(tensors, precision)?;
                Ok(model)
            }
        }
    }

    /// Reads the matrices of a frozen model.
    fn read_matrices(
        &mut self,
        tensors: &Tensors<'_>,
        precision: Option<Precision>,
    ) -> Result<(), ModelError> {
        let rows = [self.config.vocab_size, self.config.hidden_size];
        let sixteen = !matches!(precision, Some(Precision::Int8 | Precision::Nf4));
        let of_tokens = precision.filter(|_| sixteen);
        let embed = read_frozen(tensors, EMBED, rows, of_tokens)?;
        let head = if self.config.tie_word_embeddings {
            embed
        } else {
            self.embed = Some(self.ops.hold(embed));
            read_frozen(tensors, HEAD, rows, of_tokens)?
        };
        self.head = self.ops.hold(head);
        let linears = self.linears.iter_mut().zip(&self.places.layers).enumerate();
        for (layer, (linears, places)) in linears {
            for (i, (linear, at)) in linears.all_mut().into_iter().zip(places.linears()).enumerate()
            {
                let (name, shape) = (linear_weight(layer, i), [at.output, at.input]);
                let matrix = read_frozen(tensors, &name, shape, precision)?;
                linear.matrix = self.ops.hold(matrix);
            }
        }
        Ok(())
    }

    /// `config.json` and `model.safetensors` in f32, as bytes.
    ///
    /// # Errors
    /// If they cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
        Ok((self.config_bytes(Dtype::F32)?, serialize(&self.named_weights())?))
    }

    /// Writes `config.json` and `model.safetensors` into `dir`, with weights rounded to
    /// `dtype`. An adapter is not part of them.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, dtype: Dtype) -> Result<(), ModelError> {
        let path = dir.join("model.safetensors");
        let unfinished = dir.join("model.safetensors.tmp");
        write_file(&unfinished, &self.named_weights(), dtype)?;
        fs::rename(&unfinished, &path).map_err(|e| ModelError::io(&path, e))?;
        let path = dir.join("config.json");
        let unfinished = dir.join("config.json.tmp");
        let config = self.config_bytes(dtype)?;
        fs::write(&unfinished, config)
            .and_then(|()| fs::File::open(&unfinished)?.sync_all())
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|e| ModelError::io(&path, e))
    }

    fn named_weights(&self) -> Vec<Named<'_>> {
        let entries = self.base.entries.iter();
        entries.map(|e| (e.name.as_str(), &e.shape[..], self.source(&e.name, &e.range))).collect()
    }

    /// Where the weights of a tensor are.
    fn source(&self, name: &str, range: &Range<usize>) -> Source<'_> {
        if !range.is_empty() {
            return Source::Floats(&self.weights[range.clone()]);
        }
        let of_layers = self.linears.iter().enumerate().flat_map(|(layer, linears)| {
            linears.all().into_iter().enumerate().map(move |(i, l)| (layer, i, &l.matrix))
        });
        let mut matching = of_layers.filter(|(layer, i, _)| linear_weight(*layer, *i) == name);
        let matrix = match (name, &self.embed) {
            (EMBED, Some(embed)) => Some(embed),
            (EMBED | HEAD, _) => Some(&self.head),
            _ => matching.next().map(|(.., matrix)| matrix),
        };
        matrix.and_then(Matrix::frozen).map_or(Source::Floats(&[]), Source::Frozen)
    }

    fn config_bytes(&self, dtype: Dtype) -> Result<Vec<u8>, ModelError> {
        let value = self.config.to_value(dtype);
        serde_json::to_vec_pretty(&value).map_err(|e| ModelError::Config(e.to_string()))
    }
}

/// Reads a matrix panel by panel, so that it never exists in float32.
fn read_frozen(
    tensors: &Tensors<'_>,
    name: &str,
    [output, input]: [usize; 2],
    precision: Option<Precision>,
) -> Result<Frozen, ModelError> {
    let raw = tensors.find(name, &[output, input])?;
    let stored = raw.precision(name)?;
    let mut matrix = Frozen::zeros(precision.unwrap_or(stored), output, input);
    let mut rows = vec![0.0; NR * input];
    for (panel, row) in (0..output).step_by(NR).enumerate() {
        let rows = &mut rows[..NR.min(output - row) * input];
        raw.read_finite(name, row * input, rows)?;
        let large = |x: &f32| !half::f16::from_f32(*x).is_finite();
        if precision == Some(Precision::Float16) && rows.iter().any(large) {
            let what = format!("`{name}` holds a number too large for float16; use bfloat16");
            return Err(ModelError::Tensors(what));
        }
        matrix.fill(panel, rows);
    }
    tensors.forget(name);
    Ok(matrix)
}

/// Reads the tensors of a layout that lie in its flat vector.
pub(crate) fn read_layout(layout: &Layout, tensors: &Tensors<'_>) -> Result<Vec<f32>, ModelError> {
    let mut flat = vec![0.0; layout.len()];
    for entry in layout.entries.iter().filter(|e| !e.range.is_empty()) {
        tensors.read(&entry.name, &entry.shape, &mut flat[entry.range.clone()])?;
    }
    Ok(flat)
}

/// Tensors that the config does not mention mean that the config is not that of the weights.
/// Old checkpoints also store the rotary frequencies, and some the tied output layer.
fn refuse_unknown(
    config: &Config,
    layout: &Layout,
    tensors: &Tensors<'_>,
) -> Result<(), ModelError> {
    let known: std::collections::HashSet<&str> =
        layout.entries.iter().map(|e| e.name.as_str()).collect();
    for name in tensors.names() {
        if known.contains(name.as_str()) || name.ends_with(".rotary_emb.inv_freq") {
            continue;
        }
        let embedding = || tensors.get("model.embed_tokens.weight");
        let tied = config.tie_word_embeddings && name == "lm_head.weight";
        if tied && tensors.get(&name).zip(embedding()).is_some_and(|(a, b)| a.equals(&b)) {
            continue;
        }
        let what = if tied {
            "`lm_head.weight` differs from the embedding, though config.json ties them".to_string()
        } else {
            format!("config.json says nothing of a tensor `{name}`")
        };
        return Err(ModelError::Tensors(what));
    }
    Ok(())
}
