//! Pretraining: from nothing to a mimic that writes fluent programs, often wrong.
//!
//! The corpus comes from the task families or from self-play, the tokenizer is trained on its first documents,
//! and the model learns to continue each prompt. Nothing is executed here.

use anyhow::{Context as _, Result};
use learn::{Batch, Learner, OptimizerSpec, Sequence, Threads, objective::Objective};
use model::{Config, Model, Tokenizer};
use rand::Rng as _;
use serde_json::json;
use tasks::{
    corpus::{Corpus, PROGRAMS_PER_QUESTION},
    selfplay,
};

use crate::{
    policy::Policy,
    progress::Progress,
    recipe::{CorpusName, PretrainRecipe},
    seed::Seed,
};

/// Documents on which the tokenizer is trained.
const TOKENIZER_DOCUMENTS: u64 = 30_000;
/// Longest sequence of a model made here.
const POSITIONS: usize = 512;

/// What is imitated.
enum Documents {
    Families(Corpus),
    Selfplay(selfplay::corpus::Corpus),
}

impl Documents {
    fn of(recipe: &PretrainRecipe) -> Self {
        let (seed, noise) = (recipe.seed, recipe.noise);
        let (clean, composed_share) = (recipe.clean, recipe.composed_share);
        match recipe.corpus {
            CorpusName::Families => Self::Families(Corpus { seed, clean, composed_share, noise }),
            CorpusName::Selfplay => {
                let noise = if clean { 0.0 } else { noise };
                Self::Selfplay(selfplay::corpus::Corpus { seed, noise })
            }
        }
    }

    /// How many consecutive documents have the same prompt.
    fn per_prompt(&self) -> u64 {
        match self {
            Self::Families(_) => PROGRAMS_PER_QUESTION,
            Self::Selfplay(_) => 1,
        }
    }

    /// The prompt and the completion of the document at `index`.
    fn document(&self, index: u64) -> (String, String) {
        match self {
            Self::Families(corpus) => {
                let document = corpus.document(index);
                (document.prompt, document.completion)
            }
            Self::Selfplay(corpus) => {
                let document = corpus.document(index);
                (document.prompt, document.completion)
            }
        }
    }
}

/// Trains a policy from nothing.
pub(crate) fn run(recipe: &PretrainRecipe, threads: usize, progress: Progress) -> Result<Policy> {
    let seed = Seed(recipe.seed);
    let corpus = Documents::of(recipe);
    let tokenizer = train_tokenizer(&corpus, recipe)?;
    let model = Model::random(config(recipe, &tokenizer)?, normal(seed.child("weights", 0)));
    let mut policy = Policy::new(model, tokenizer)?;
    let optimizer = OptimizerSpec {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: 0.05,
        grad_norm_max: 1.0,
    };
    let mut learner = Learner::new(optimizer, policy.model.layout.len());
    let (mut seen, mut document, mut step) = (0, 0, 0u64);
    let bar = progress.bar(recipe.tokens, "tokens");
    while seen < recipe.tokens {
        let (batch, next, tokens) = batch(&corpus, &policy, document, recipe.batch_tokens)?;
        let lr = learning_rate(recipe, seen, step);
        let report = learner.step(
            &mut policy.model,
            &batch,
            &Objective::NLL,
            (lr, 1.0),
            Threads(threads),
        )?;
        (document, step, seen) = (next, step + 1, seen + tokens);
        bar.set(seen, &format!("loss {:.4}", report.loss));
        if step.is_multiple_of(200) {
            progress.line(&format!("step {step}: {seen} tokens, loss {:.4}", report.loss));
        }
    }
    bar.finish();
    progress.line(&format!("{document} documents, {seen} tokens, {step} steps"));
    Ok(policy)
}

fn train_tokenizer(corpus: &Documents, recipe: &PretrainRecipe) -> Result<Tokenizer> {
    let texts: Vec<String> = (0..TOKENIZER_DOCUMENTS)
        .map(|i| corpus.document(i))
        .map(|(prompt, completion)| prompt + &completion)
        .collect();
    Ok(Tokenizer::train(texts.iter().map(String::as_str), recipe.vocab_size)?)
}

fn config(recipe: &PretrainRecipe, tokenizer: &Tokenizer) -> Result<Config> {
    let end = tokenizer.encode("<|endoftext|>")?;
    Ok(Config::from_value(json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": recipe.vocab_size,
        "hidden_size": recipe.hidden_size,
        "intermediate_size": recipe.intermediate_size,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads,
        "max_position_embeddings": POSITIONS,
        "rope_theta": 10_000.0,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
        "eos_token_id": end.first().context("the tokenizer has an end token")?,
        "torch_dtype": "float32",
        "initializer_range": 0.02,
    }))?)
}

/// Standard normal numbers (Box and Muller 1958).
fn normal(seed: Seed) -> impl FnMut() -> f32 {
    let mut rng = seed.rng();
    move || {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }
}

/// Documents from `first` on, until they fill a batch: the batch, the next document, and the
/// tokens in it, prompts included.
fn batch(
    corpus: &Documents,
    policy: &Policy,
    first: u64,
    tokens_max: u64,
) -> Result<(Batch, u64, u64)> {
    let mut batch = Batch::default();
    let (mut document, mut tokens) = (first, 0);
    while tokens < tokens_max {
        let (prompt, completion) = corpus.document(document);
        let mut completion = policy.tokenizer.encode(&completion)?;
        completion.extend(policy.eos.first());
        tokens += completion.len() as u64;
        let sequence = Sequence::imitated(completion);
        let follows = document > first && !document.is_multiple_of(corpus.per_prompt());
        match batch.groups.last_mut().filter(|_| follows) {
            Some((_, sequences)) => sequences.push(sequence),
            None => {
                let prompt = policy.tokenizer.encode(&prompt)?;
                tokens += prompt.len() as u64;
                batch.groups.push((prompt, vec![sequence]));
            }
        }
        document += 1;
    }
    Ok((batch, document, tokens))
}

/// Linear warm-up, then a cosine to a twentieth.
fn learning_rate(recipe: &PretrainRecipe, seen: u64, step: u64) -> f64 {
    let warmup = ((step + 1) as f64 / recipe.warmup_steps.max(1) as f64).min(1.0);
    let progress = seen as f64 / recipe.tokens as f64;
    let cosine = (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0;
    recipe.lr * warmup * (0.05 + 0.95 * cosine)
}
