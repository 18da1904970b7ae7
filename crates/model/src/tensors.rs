//! Files of tensors in the safetensors format, in and out.

use std::{borrow::Cow, collections::BTreeMap, fs, ops::Deref, path::Path};

use memmap2::Mmap;
use safetensors::{Dtype as Stored, SafeTensors, View, tensor::Metadata};

use crate::{
    Dtype, ModelError,
    ops::{Frozen, Precision},
};

/// The tensors of a checkpoint, in one file or several.
#[derive(Debug)]
pub(crate) struct Tensors<'a> {
    shards: Vec<Shard<'a>>,
}

#[derive(Debug)]
struct Shard<'a> {
    bytes: Bytes<'a>,
    /// Where the data begin, after the header.
    start: usize,
    metadata: Metadata,
}

#[derive(Debug)]
enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Mapped(Mmap),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// A tensor as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) shape: &'a [usize],
    dtype: Stored,
    data: &'a [u8],
}

/// The file that says in which file each tensor of a large checkpoint is.
const INDEX: &str = "model.safetensors.index.json";

impl<'a> Tensors<'a> {
    /// The tensors of one file in memory.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Result<Self, ModelError> {
        Ok(Self { shards: vec![Shard::new(Bytes::Borrowed(bytes), "the tensors")?] })
    }

    /// The tensors of one file, mapped.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        Ok(Self { shards: vec![Shard::open(path)?] })
    }

    /// The tensors of a directory: `model.safetensors`, or the files that its index names.
    pub(crate) fn open_model(dir: &Path) -> Result<Self, ModelError> {
        let single = dir.join("model.safetensors");
        let index = dir.join(INDEX);
        if single.exists() || !index.exists() {
            return Self::open(&single);
        }
        let text = fs::read_to_string(&index).map_err(|e| ModelError::io(&index, e))?;
        let bad = |what: String| ModelError::Tensors(format!("{INDEX}: {what}"));
        let parsed: Index = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let mut files: Vec<&str> = parsed.weight_map.values().map(String::as_str).collect();
        files.sort_unstable();
        files.dedup();
        let mut shards = Vec::new();
        for file in &files {
            if Path::new(file).components().count() != 1 || file.starts_with('.') {
                return Err(bad(format!("`{file}` is not the name of a file beside it")));
            }
            shards.push(Shard::open(&dir.join(file))?);
        }
        for (name, file) in &parsed.weight_map {
            let shard = files.binary_search(&file.as_str()).map_or(0, |i| i);
            if shards[shard].metadata.info(name).is_none() {
                return Err(bad(format!("`{name}` is not in {file}")));
            }
        }
        Ok(Self { shards })
    }

    /// The names of all tensors, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.shards.iter().flat_map(|s| s.metadata.offset_keys()).collect();
        names.sort_unstable();
        names
    }

    /// A tensor, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<Raw<'_>> {
        self.shards.iter().find_map(|s| s.get(name))
    }

    /// A tensor that must be there, in this shape.
    pub(crate) fn find(&self, name: &str, shape: &[usize]) -> Result<Raw<'_>, ModelError> {
        let bad = |what: String| Err(ModelError::Tensors(what));
        let Some(raw) = self.get(name) else { return bad(format!("no tensor `{name}`")) };
        if raw.shape != shape {
            let found = raw.shape;
            return bad(format!("`{name}` has shape {found:?}, the config says {shape:?}"));
        }
        Ok(raw)
    }

    /// Reads a tensor of a known shape into `out`.
    pub(crate) fn read(
        &self,
        name: &str,
        shape: &[usize],
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.find(name, shape)?.read_finite(name, 0, out)?;
        self.forget(name);
        Ok(())
    }

    /// Lets go of the memory that reading a tensor of a mapped file took: the file still has it.
    pub(crate) fn forget(&self, name: &str) {
        for shard in &self.shards {
            let (Bytes::Mapped(map), Some(info)) = (&shard.bytes, shard.metadata.info(name)) else {
                continue;
            };
            let (from, to) = info.data_offsets;
            // SAFETY: the map is shared and read-only, so what is dropped is read again from the
            // file where it is used again. A system that refuses loses nothing.
            #[cfg(unix)]
            let _ = unsafe {
                let advice = memmap2::UncheckedAdvice::DontNeed;
                map.unchecked_advise_range(advice, shard.start + from, to - from)
            };
        }
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl<'a> Shard<'a> {
    fn new(bytes: Bytes<'a>, name: &str) -> Result<Self, ModelError> {
        let (header, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| ModelError::Tensors(format!("{name}: not a safetensors file: {e}")))?;
        Ok(Self { bytes, start: 8 + header, metadata })
    }

    fn open(path: &Path) -> Result<Self, ModelError> {
        let file = fs::File::open(path).map_err(|e| ModelError::io(path, e))?;
        // SAFETY: a mapped file must not change. Checkpoints are written under another name
        // and renamed, never in place; who truncates one under a running program ends it.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| ModelError::io(path, e))?;
        Self::new(Bytes::Mapped(map), &path.display().to_string())
    }

    fn get(&self, name: &str) -> Option<Raw<'_>> {
        let info = self.metadata.info(name)?;
        let (from, to) = info.data_offsets;
        let data = &self.bytes[self.start + from..self.start + to];
        Some(Raw { shape: &info.shape, dtype: info.dtype, data })
    }
}

impl Raw<'_> {
    /// Whether two tensors are the same bytes.
    pub(crate) fn equals(&self, other: &Raw<'_>) -> bool {
        (self.dtype, self.shape, self.data) == (other.dtype, other.shape, other.data)
    }

    /// How the numbers are stored.
    pub(crate) fn precision(&self, name: &str) -> Result<Precision, ModelError> {
        match self.dtype {
            Stored::F32 => Ok(Precision::Float32),
            Stored::BF16 => Ok(Precision::Bfloat16),
            Stored::F16 => Ok(Precision::Float16),
            other => {
                let what = format!("`{name}` has type {other:?}; f32, bf16 and f16 are supported");
                Err(ModelError::Tensors(what))
            }
        }
    }

    /// Reads the numbers from the `from`th on, which must be finite.
    pub(crate) fn read_finite(
        &self,
        name: &str,
        from: usize,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.read(name, from, out)?;
        match out.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => {
                let what = format!("`{name}` holds a number that is not finite");
                Err(ModelError::Tensors(what))
            }
        }
    }

    fn read(&self, name: &str, from: usize, out: &mut [f32]) -> Result<(), ModelError> {
        let precision = self.precision(name)?;
        let data = &self.data[from * self.dtype.bitsize() / 8..];
        let halves = || data.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
        match precision {
            Precision::Bfloat16 => {
                let bits = halves().map(|h| f32::from_bits(u32::from(h) << 16));
                out.iter_mut().zip(bits).for_each(|(x, y)| *x = y);
            }
            Precision::Float16 => {
                let wide = halves().map(|h| half::f16::from_bits(h).to_f32());
                out.iter_mut().zip(wide).for_each(|(x, y)| *x = y);
            }
            _ => {
                let words = data.as_chunks().0.iter();
                out.iter_mut().zip(words).for_each(|(x, b)| *x = f32::from_le_bytes(*b));
            }
        }
        Ok(())
    }
}

/// Where the numbers of a tensor to be written are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    Floats(&'a [f32]),
    Frozen(&'a Frozen),
}

impl Source<'_> {
    fn floats(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Floats(floats) => Cow::Borrowed(floats),
            Self::Frozen(matrix) => Cow::Owned(matrix.rows()),
        }
    }
}

/// A tensor to be written: its name, shape and numbers.
pub(crate) type Named<'a> = (&'a str, &'a [usize], Source<'a>);

/// Numbers to be written as another type.
struct Part<'a> {
    shape: &'a [usize],
    data: Source<'a>,
    dtype: Dtype,
}

impl View for Part<'_> {
    fn dtype(&self) -> Stored {
        match self.dtype {
            Dtype::F32 => Stored::F32,
            Dtype::Bf16 => Stored::BF16,
            Dtype::F16 => Stored::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let floats = self.data.floats();
        let data = floats.iter();
        match self.dtype {
            Dtype::F32 => data.flat_map(|x| x.to_le_bytes()).collect(),
            Dtype::Bf16 => data.flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
            Dtype::F16 => data.flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        let n: usize = self.shape.iter().product();
        n * if self.dtype == Dtype::F32 { 4 } else { 2 }
    }
}

/// Writes named tensors into `path`, one at a time, syncs the file and reads it back.
pub(crate) fn write_file(path: &Path, parts: &[Named<'_>], dtype: Dtype) -> Result<(), ModelError> {
    let bad = |what: String| Err(ModelError::Tensors(what));
    let fits = |x: &f32| half::f16::from_f32(*x).is_finite();
    let fit = |data: &Source<'_>| dtype != Dtype::F16 || data.floats().iter().all(fits);
    if let Some((name, ..)) = parts.iter().find(|(_, _, data)| !fit(data)) {
        return bad(format!("`{name}` holds a number too large for float16; use bfloat16"));
    }
    let views = parts.iter().map(|(name, shape, data)| (*name, Part { shape, data: *data, dtype }));
    safetensors::serialize_to_file(views, Some(metadata()), path)
        .map_err(|e| ModelError::Tensors(format!("cannot write {}: {e}", path.display())))?;
    let sync = fs::File::open(path).and_then(|f| f.sync_all());
    sync.map_err(|e| ModelError::io(path, e))?;
    let written = Tensors::open(path)?;
    for (name, shape, data) in parts {
        let part = Part { shape, data: *data, dtype };
        let bytes = part.data();
        let whole = |raw: Raw<'_>| raw.shape == *shape && *raw.data == *bytes;
        if !written.get(name).is_some_and(whole) {
            return bad(format!("`{name}` cannot be read back from {}", path.display()));
        }
    }
    Ok(())
}

fn metadata() -> std::collections::HashMap<String, String> {
    [("format".to_string(), "pt".to_string())].into()
}

/// Serialises named f32 tensors in the safetensors format.
///
/// # Errors
/// If a shape does not fit its data.
pub fn write_tensors(parts: &[(&str, &[usize], &[f32])]) -> Result<Vec<u8>, ModelError> {
    let misfit = |p: &&(&str, &[usize], &[f32])| p.1.iter().product::<usize>() != p.2.len();
    if let Some((name, shape, data)) = parts.iter().find(misfit) {
        let what = format!("`{name}` has {} numbers and shape {shape:?}", data.len());
        return Err(ModelError::Tensors(what));
    }
    let named = parts.iter().map(|(name, shape, data)| (*name, *shape, Source::Floats(data)));
    serialize(&named.collect::<Vec<_>>())
}

/// Serialises named tensors as f32.
pub(crate) fn serialize(parts: &[Named<'_>]) -> Result<Vec<u8>, ModelError> {
    let dtype = Dtype::F32;
    let views = parts.iter().map(|(name, shape, data)| (*name, Part { shape, data: *data, dtype }));
    safetensors::serialize(views, Some(metadata())).map_err(|e| ModelError::Tensors(e.to_string()))
}

/// Reads every tensor of a safetensors file as f32.
///
/// # Errors
/// If the file is damaged or holds a type other than f32, bf16 and f16.
pub fn read_tensors(bytes: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, ModelError> {
    let tensors = Tensors::from_bytes(bytes)?;
    let mut read = BTreeMap::new();
    for name in tensors.names() {
        if let Some(raw) = tensors.get(&name) {
            let mut out = vec![0.0; raw.shape.iter().product()];
            raw.read(&name, 0, &mut out)?;
            read.insert(name, out);
        }
    }
    Ok(read)
}
