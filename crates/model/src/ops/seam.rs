//! The seam between the transformer and what computes it.
//!
//! The transformer says what is computed, in whole operations on rows of floats; an [`Ops`]
//! computes it where those floats are. [`Cpu`](crate::Cpu) is the one that the engine comes with.
//! Nothing here knows layers, tapes or adapters, and the transformer never looks into a buffer.
//!
//! What crosses to the host does so by name: [`Ops::log_probs`] and [`Ops::logits`] write into
//! its memory, [`Ops::read`] and [`Ops::edit`] show it a buffer.

use std::{borrow::Cow, fmt::Debug, ops::Range};

use crate::Precision;

/// Floats `.1` of a buffer: a norm's weights, say, among all weights.
pub type Part<'a, O> = (&'a <O as Ops>::Buffer, &'a Range<usize>);

/// Floats of a buffer to be added to: a norm's gradient among all gradients.
pub type PartMut<'a, O> = (&'a mut <O as Ops>::Buffer, &'a Range<usize>);

/// A buffer, and how many rows it has.
pub type RowsOf<'a, O> = (&'a <O as Ops>::Buffer, usize);

/// What becomes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// It replaces what the buffer holds.
    Write,
    /// It is added to that.
    Add,
}

/// A matrix that rows are multiplied by, and where the product goes.
#[derive(Debug)]
pub struct Product<'a, O: Ops> {
    /// The matrix.
    pub w: &'a O::Matrix,
    /// Added to each row of the product.
    pub bias: Option<Part<'a, O>>,
    /// A row for each row.
    pub y: &'a mut O::Buffer,
    /// What becomes of it.
    pub out: Out,
}

impl<'a, O: Ops> Product<'a, O> {
    /// One without a bias.
    pub fn plain(w: &'a O::Matrix, y: &'a mut O::Buffer, out: Out) -> Self {
        Self { w, bias: None, y, out }
    }
}

/// Where the embeddings of tokens are.
#[derive(Debug)]
pub enum Table<'a, O: Ops> {
    /// Among the weights that learn, a row for each token.
    Weights(Part<'a, O>),
    /// The rows of a matrix.
    Matrix(&'a O::Matrix),
}

/// The heads of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads, a multiple of `kv`.
    pub query: usize,
    /// Key-value heads.
    pub kv: usize,
    /// Floats of a head.
    pub dim: usize,
}

impl Heads {
    /// What scores are multiplied by before the softmax.
    pub fn scale(self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

/// A run of rows that attend to what comes before them and to themselves, causally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first row.
    pub start: usize,
    /// How many rows.
    pub len: usize,
    /// How many tokens come before.
    pub before: usize,
    /// The span whose first tokens those are, with all that comes before it; there is one where there
    /// are such tokens.
    pub after: usize,
}

impl Span {
    /// How many rows the last of it attends to.
    pub fn total(self) -> usize {
        self.before + self.len
    }

    /// The rows that span `at` attends to, in runs, the last first: the first row of each, and the
    /// positions in the sequence that its rows have.
    pub fn runs(spans: &[Self], at: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (mut span, mut end) = (spans[at], spans[at].total());
        std::iter::from_fn(move || {
            while end > 0 && end <= span.before {
                span = spans[span.after];
            }
            let run = (span.start, span.before..end);
            end = end.min(span.before);
            (!run.1.is_empty()).then_some(run)
        })
    }
}

/// What the log-softmax of a row of logits needs: its normaliser and its entropy in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// The log of the softmax's denominator.
    pub log_sum_exp: f32,
    /// The entropy of the softmax.
    pub entropy: f32,
}

/// What gradients will be wanted of the output layer, so that it may keep what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// None: rows are only scored.
    Nothing,
    /// That of its rows.
    Rows,
    /// That of its rows and of the head.
    RowsAndHead,
}

/// What the output layer finds, in the memory of the host.
#[derive(Debug, Default)]
pub struct Found {
    /// One a row.
    pub stats: Vec<Stats>,
    /// One a target.
    pub log_probs: Vec<f32>,
}

/// Which elements of a matrix of rows dropout keeps. It depends on nothing but what is here:
/// not on threads, and not on what else is computed beside a row.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// One a row.
    pub keys: &'a [u64],
    /// Which linear layer it is.
    pub layer: u64,
    /// The share that is dropped, from 0 to below 1.
    pub rate: f32,
}

impl Mask<'_> {
    /// What elements that are kept are multiplied by.
    pub fn scale(&self) -> f32 {
        1.0 / (1.0 - self.rate)
    }

    /// The key of a row in this layer.
    pub fn key(&self, row: usize) -> u64 {
        mix(self.keys[row] ^ mix(self.layer))
    }

    /// Whether dropout of `rate` keeps the element at `column` of the row with this key.
    #[inline(always)]
    pub fn keeps(key: u64, column: usize, rate: f32) -> bool {
        let drawn = mix(key.wrapping_add(column as u64)) >> 40;
        drawn as f32 >= rate * (1 << 24) as f32
    }
}

/// Numbers without a pattern, one after the other: the generator SplitMix64 (Steele et al. 2014),
/// which counts and mixes.
#[inline(always)]
pub fn mix(count: u64) -> u64 {
    let mut x = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// `(row, token)`, and the derivatives by its log-prob and by the row's entropy.
pub type TargetSlopes = ((usize, u32), (f32, f32));

/// What a cache of keys and values has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Blocks of the model.
    pub layers: usize,
    /// Of each block.
    pub heads: Heads,
    /// Sequences at a time.
    pub slots: usize,
    /// New tokens of a sequence; those of prompts lie apart.
    pub new_tokens: usize,
}

/// A sequence that is being decoded. Those of one prompt are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The prompt whose keys and values it attends to first.
    pub prompt: usize,
    /// Where its own are.
    pub slot: usize,
    /// How many of its own there are before this step.
    pub len: usize,
}

/// The operations of the transformer. Matrices are stored row by row, and a buffer has as many
/// floats as its rows need: an operation takes their number from it where it is not said.
///
/// A value is the handle of a device. Its operations run in the order in which one thread asks
/// for them; threads share it, each with buffers, scratch and caches of its own.
pub trait Ops: Debug + Clone + Send + Sync {
    /// Floats on the device; a new one has none.
    type Buffer: Debug + Default + Clone + Send + Sync;
    /// A matrix as products read it: W, of `output` rows of `input`.
    type Matrix: Debug + Default + Clone + Send + Sync;
    /// Rows of a buffer prepared for [`Ops::weigh`], if a device gains by that.
    type Packed: Debug + Default + Send;
    /// The cosines and sines of all positions.
    type Angles: Debug + Clone + Send + Sync;
    /// Where the rows of a pass stand and what they attend to.
    type Rows: Debug + Default + Send;
    /// Keys and values of prompts, and of sequences being decoded.
    type Cache: Debug + Send;
    /// Whatever operations need besides, kept from call to call.
    type Scratch: Debug + Default + Send;

    // Buffers.

    /// Gives a buffer this length; what it holds then is not said.
    fn resize(&self, x: &mut Self::Buffer, len: usize);
    /// Gives a buffer this length, all zeros.
    fn zero(&self, x: &mut Self::Buffer, len: usize);
    /// Makes `to` a copy.
    fn copy(&self, from: &Self::Buffer, to: &mut Self::Buffer);
    /// `x *= by`.
    fn scale(&self, x: &mut Self::Buffer, by: f32);
    /// The floats in the memory of the host.
    fn read<'a>(&self, x: &'a Self::Buffer) -> Cow<'a, [f32]>;
    /// Lets the host change them.
    fn edit(&self, x: &mut Self::Buffer, change: impl FnOnce(&mut [f32]));

    // Rows.

    /// The embedding of each token.
    fn embed(&self, table: Table<'_, Self>, tokens: &[u32], x: &mut Self::Buffer);
    /// Adds each row of `dx` to the gradient of its token's embedding.
    fn embed_backward(&self, dx: &Self::Buffer, tokens: &[u32], dtable: PartMut<'_, Self>);
    /// Writes these rows of `from`, one after the other.
    fn gather(&self, from: &Self::Buffer, rows: &[usize], to: &mut Self::Buffer);
    /// Writes the rows of `from`, one after the other, to these rows of `to`.
    fn scatter(&self, from: &Self::Buffer, rows: &[usize], to: &mut Self::Buffer);
    /// Adds the sum of the rows of `dy`: the gradient of a bias.
    fn add_rows(&self, dy: &Self::Buffer, dbias: PartMut<'_, Self>);
    /// Adds to row `rows[i]` of `dx` the vector `direction` times `by[i]`.
    fn add_multiples(&self, dx: &mut Self::Buffer, rows: &[usize], by: &[f32], direction: &[f32]);

    /// `to (+)= x` where the mask keeps it, scaled up by as much as it drops, else 0.
    fn drop_out(&self, x: RowsOf<'_, Self>, mask: Mask<'_>, to: &mut Self::Buffer, out: Out);

    // Products.

    /// A matrix that learns: the weights at `from` times `scale`, `(output, input)` of them.
    fn pack(&self, to: &mut Self::Matrix, from: Part<'_, Self>, shape: (usize, usize), scale: f32);
    /// A matrix that does not, of rows that come from the host.
    fn freeze(&self, rows: &[f32], shape: (usize, usize), precision: Precision) -> Self::Matrix;
    /// `y (+)= x W^T + bias` for each, which a device may compute together.
    fn apply(&self, x: RowsOf<'_, Self>, products: &mut [Product<'_, Self>]);
    /// `y (+)= dy W + bias` for each.
    fn pull(&self, dy: RowsOf<'_, Self>, products: &mut [Product<'_, Self>]);
    /// Prepares the rows of `x` for one or several of [`Ops::weigh`].
    fn pack_rows(&self, x: RowsOf<'_, Self>, packed: &mut Self::Packed);
    /// `dW += dy^T x`, for `x` and what [`Ops::pack_rows`] made of it; where W has few rows or few
    /// columns, that is not worth it.
    fn weigh(
        &self,
        w: &Self::Matrix,
        dy: RowsOf<'_, Self>,
        x: (&Self::Buffer, Option<&Self::Packed>),
        dw: PartMut<'_, Self>,
        scratch: &mut Self::Scratch,
    );

    // Norms and the activation.

    /// `y = x * rstd * weight` for each row of `x`, where `rstd` (one a row, kept) is one over
    /// the root of the mean square plus `eps`.
    fn rms_norm(
        &self,
        x: &Self::Buffer,
        weight: Part<'_, Self>,
        eps: f32,
        y: &mut Self::Buffer,
        rstd: &mut Self::Buffer,
    );
    /// Adds to `dx`, and to `dweight` where that is wanted, what `dy` gives; `of` is the `x`, the
    /// `weight` and the `rstd` of the forward pass.
    fn rms_norm_backward(
        &self,
        of: (&Self::Buffer, Part<'_, Self>, &Self::Buffer),
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
        dweight: Option<PartMut<'_, Self>>,
        scratch: &mut Self::Scratch,
    );
    /// `h = gate * sigmoid(gate) * up`.
    fn swiglu(&self, gate: &Self::Buffer, up: &Self::Buffer, h: &mut Self::Buffer);
    /// Replaces `gate` and `up` by their gradients, given `dh`.
    fn swiglu_backward(&self, gate: &mut Self::Buffer, up: &mut Self::Buffer, dh: &Self::Buffer);

    // Attention.

    /// The angles of `positions` positions: frequencies (half a head of them) times the
    /// position. Cosines and sines are multiplied by `factor`.
    fn angles(&self, frequencies: Vec<f32>, factor: f64, positions: usize) -> Self::Angles;
    /// Says where the rows of the next pass stand, and what they attend to.
    fn place(&self, rows: &mut Self::Rows, positions: &[usize], spans: &[Span]);
    /// Rotates every head of each row to its position: element `i` of the first half of a head
    /// with element `i` of the second.
    fn rotate(&self, angles: &Self::Angles, rows: &Self::Rows, x: &mut Self::Buffer);
    /// Rotates back: the transpose, which is what a gradient goes through.
    fn rotate_back(&self, angles: &Self::Angles, rows: &Self::Rows, x: &mut Self::Buffer);
    /// `o = softmax(scale q k^T) v` for each span and head; rows of `q` and `o` hold the query
    /// heads side by side, rows of `k` and `v` the key-value heads.
    fn attend(
        &self,
        qkv: [&Self::Buffer; 3],
        o: &mut Self::Buffer,
        heads: Heads,
        rows: &Self::Rows,
        scratch: &mut Self::Scratch,
    );
    /// Writes `dq` and adds to `dk` and `dv`, given `d_o`.
    fn attend_backward(
        &self,
        qkv: [&Self::Buffer; 3],
        d_o: &Self::Buffer,
        dqkv: [&mut Self::Buffer; 3],
        at: (Heads, &Self::Rows),
        scratch: &mut Self::Scratch,
    );

    // Attention from a cache.

    /// An empty cache.
    fn cache(&self, shape: CacheShape) -> Self::Cache;
    /// Keeps rows `rows` of keys (rotated) and values for a `(prompt, layer)`.
    fn hold_prompt(
        &self,
        cache: &mut Self::Cache,
        at: (usize, usize),
        kv: [&Self::Buffer; 2],
        rows: Range<usize>,
    );
    /// Forgets a prompt.
    fn drop_prompt(&self, cache: &mut Self::Cache, prompt: usize);
    /// Copies a sequence's own keys and values of all layers to the place `to`.
    fn fork(&self, cache: &mut Self::Cache, from: Seat, to: usize);
    /// Says which sequences the rows of the next step are.
    fn seat(&self, cache: &mut Self::Cache, seats: &[Seat]);
    /// Appends a layer's keys (rotated) and values, a row for each sequence.
    fn append(&self, cache: &mut Self::Cache, layer: usize, kv: [&Self::Buffer; 2]);
    /// Attention of each sequence to its prompt and to its own tokens, this step's among them.
    fn attend_cached(
        &self,
        cache: &mut Self::Cache,
        layer: usize,
        q: &Self::Buffer,
        o: &mut Self::Buffer,
    );

    // The output layer.

    /// The logits of rows of `x`, to the host: `(rows, vocabulary)`.
    fn logits(
        &self,
        head: &Self::Matrix,
        x: RowsOf<'_, Self>,
        logits: &mut Vec<f32>,
        scratch: &mut Self::Scratch,
    );
    /// Statistics of every row of `x` (`of` is the head and `x`), and the log-prob of each `(row, token)` of `targets`,
    /// which come in ascending order of rows, to the host. Logits are multiplied by the inverse
    /// temperature (`at`), and the scratch may keep what will be wanted of them.
    fn log_probs(
        &self,
        of: (&Self::Matrix, &Self::Buffer),
        targets: &[(usize, u32)],
        at: (f32, Follows),
        found: &mut Found,
        scratch: &mut Self::Scratch,
    );
    /// Writes `dx` and adds to the head's gradient (`to`), where that is wanted, what the
    /// derivatives by log-probs and entropies give; `at` is the inverse temperature and what
    /// [`Ops::log_probs`] found of the rows there. That call was the last with this scratch.
    fn log_probs_backward(
        &self,
        of: (&Self::Matrix, &Self::Buffer),
        targets: &[TargetSlopes],
        at: (f32, &[Stats]),
        to: (&mut Self::Buffer, Option<PartMut<'_, Self>>),
        scratch: &mut Self::Scratch,
    );
}
