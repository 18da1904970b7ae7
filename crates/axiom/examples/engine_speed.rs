//! Training and decoding speed of the engine at the shapes of `scripts/bench_torch.py`.
//!
//! `cargo run --release --example engine_speed -- [tiny|nano|DIR] [THREADS] [WORD...]` prints one JSON
//! line for each measurement: the median of five runs after two that are not counted. Words are
//! `train`, `decode` and `group` (without any, the first two are measured), `highest`, `high` or
//! `medium` (how exactly matrices are multiplied), `recompute` (blocks are computed twice) and
//! `avx2` or `avx512` (no more than that is used). A directory is that of a checkpoint
//! (`scripts/random_checkpoint.py`): it is held as it is stored and learns by an adapter of rank 16
//! on all linear layers.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program to be run by hand")]

use std::{path::Path, time::Instant};

use generate::{Filter, Request, Sampling, generate};
use learn::{Batch, Learner, OptimizerSpec, Sequence, Threads, objective::Objective};
use model::{AdapterSpec, CacheLines, Config, Hold, Isa, MatmulPrecision, Model};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static MEMORY: CacheLines = CacheLines;

struct Shape {
    vocab: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
    kv: usize,
    ffn: usize,
    train: (usize, usize),
    decode: (usize, usize, usize),
}

const TINY: Shape = Shape {
    vocab: 512,
    hidden: 256,
    layers: 6,
    heads: 8,
    kv: 4,
    ffn: 704,
    train: (16, 256),
    decode: (32, 128, 64),
};
const NANO: Shape = Shape {
    vocab: 1024,
    hidden: 128,
    layers: 4,
    heads: 4,
    kv: 2,
    ffn: 384,
    train: (128, 190),
    decode: (128, 100, 90),
};

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn timed(mut run: impl FnMut()) -> f64 {
    let times = (0..7).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    median(times.skip(2).collect())
}

/// What is asked of a checkpoint.
const CHECKPOINT_TRAIN: (usize, usize) = (8, 256);
const CHECKPOINT_DECODE: (usize, usize, usize) = (8, 128, 32);

/// A checkpoint with an adapter.
fn checkpoint(dir: &Path, rng: &mut ChaCha8Rng) -> Model {
    let mut model = Model::load(dir, Hold::Frozen(None)).unwrap();
    let target_modules = AdapterSpec::all_linear();
    let spec = AdapterSpec {
        r: 16,
        lora_alpha: 32.0,
        lora_dropout: 0.0,
        use_rslora: false,
        target_modules,
    };
    model.attach(spec, || rng.random()).unwrap();
    model
}

/// A model with random weights.
fn random(shape: &Shape, rng: &mut ChaCha8Rng) -> Model {
    let config = Config::from_value(serde_json::json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
    }))
    .unwrap();
    Model::random(config, || rng.random::<f32>() * 2.0 - 1.0)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "tiny".to_string());
    let threads: usize = args.next().map_or(2, |t| t.parse().unwrap());
    let words: Vec<String> = args.collect();
    let known =
        ["train", "decode", "group", "highest", "high", "medium", "recompute", "avx2", "avx512"];
    assert!(words.iter().all(|w| known.contains(&w.as_str())), "only {known:?} are known");
    let said = |word: &str| words.iter().any(|w| w == word);
    let asked = |bench: &str| said(bench) || !["train", "decode", "group"].into_iter().any(said);
    for (word, isa) in [("avx2", Isa::Avx2), ("avx512", Isa::Avx512)] {
        if said(word) {
            isa.limit().unwrap();
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut model, train, decode) = match name.as_str() {
        "nano" => (random(&NANO, &mut rng), NANO.train, NANO.decode),
        "tiny" => (random(&TINY, &mut rng), TINY.train, TINY.decode),
        dir => (checkpoint(Path::new(dir), &mut rng), CHECKPOINT_TRAIN, CHECKPOINT_DECODE),
    };
    let precision = match (said("high"), said("medium")) {
        (true, _) => MatmulPrecision::High,
        (_, true) => MatmulPrecision::Medium,
        _ => MatmulPrecision::Highest,
    };
    model.set_matmul_precision(precision);
    let products = precision.arithmetic();
    let vocab = model.config.vocab_size as u32;
    let mut sequence =
        |n: usize| -> Vec<u32> { (0..n).map(|_| rng.random_range(1..vocab)).collect() };
    if asked("train") {
        let rate = train_rate(&mut model, train, (threads, said("recompute")), &mut sequence);
        println!(
            "{{\"shape\":\"{name}\",\"bench\":\"train\",\"threads\":{threads},\
             \"products\":\"{products}\",\"tokens_per_s\":{rate:.0}}}"
        );
    }
    if asked("decode") {
        let (rate, seconds, prefill) = decode_rate(&model, decode, threads, &mut sequence);
        println!(
            "{{\"shape\":\"{name}\",\"bench\":\"decode\",\"threads\":{threads},\
             \"products\":\"{products}\",\"tokens_per_s\":{rate:.0},\"seconds\":{seconds:.3},\"prefill_s\":{prefill:.3}}}"
        );
    }
    if said("group") {
        let [shared, own] = group_rates(&model, threads, &mut sequence);
        println!(
            "{{\"shape\":\"{name}\",\"bench\":\"group\",\"threads\":{threads},\
             \"products\":\"{products}\",\"tokens_per_s\":{shared:.0},\"unshared_tokens_per_s\":{own:.0}}}"
        );
    }
}

/// Prompts, their tokens, and completions of each with their tokens.
const GROUPS: (usize, usize, usize, usize) = (8, 120, 16, 64);

/// Tokens decoded in a second, prompts and all, where completions of a prompt share it and where
/// each has its own.
fn group_rates(
    model: &Model,
    threads: usize,
    sequence: &mut impl FnMut(usize) -> Vec<u32>,
) -> [f64; 2] {
    let (prompts, prompt, group, new) = GROUPS;
    let prompts: Vec<Vec<u32>> = (0..prompts).map(|_| sequence(prompt)).collect();
    let request = |prompt: &Vec<u32>, seeds| Request { prompt: prompt.clone(), seeds };
    let seeds = 0..group as u64;
    let shared = prompts.iter().map(|p| request(p, seeds.clone().collect()));
    let own = prompts.iter().flat_map(|p| seeds.clone().map(|seed| request(p, vec![seed])));
    let rate = |requests: Vec<Request>| {
        let seconds = timed(|| decode(model, &requests, new, threads));
        (prompts.len() * group * new) as f64 / seconds
    };
    [rate(shared.collect()), rate(own.collect())]
}

fn decode(model: &Model, requests: &[Request], completion_tokens_max: usize, threads: usize) {
    let (filter, stop, eos) = (Filter::default(), None, Vec::new());
    let sampling = Sampling { temperature: 1.0, completion_tokens_max, eos, stop, filter };
    generate(model, requests, &sampling, threads).unwrap();
}

/// Tokens learnt from in a second.
fn train_rate(
    model: &mut Model,
    (rows, n): (usize, usize),
    (threads, recompute): (usize, bool),
    sequence: &mut impl FnMut(usize) -> Vec<u32>,
) -> f64 {
    let groups = (0..rows).map(|_| {
        let tokens = sequence(n);
        let rest = Sequence::imitated(tokens[1..].to_vec());
        (tokens[..1].to_vec(), vec![rest])
    });
    let batch = Batch { groups: groups.collect() };
    let optimizer = OptimizerSpec {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: 0.05,
        grad_norm_max: 1.0,
    };
    let mut learner = Learner::new(optimizer, model.layout.len()).recomputing(recompute);
    let seconds = timed(|| {
        learner.step(model, &batch, &Objective::NLL, (1e-3, 1.0), Threads(threads)).unwrap();
    });
    (rows * n) as f64 / seconds
}

/// Tokens decoded in a second after the prompts, the seconds of all, and those of the prompts.
fn decode_rate(
    model: &Model,
    (rows, prompt, new): (usize, usize, usize),
    threads: usize,
    sequence: &mut impl FnMut(usize) -> Vec<u32>,
) -> (f64, f64, f64) {
    let requests: Vec<Request> =
        (0..rows).map(|i| Request { prompt: sequence(prompt), seeds: vec![i as u64] }).collect();
    let seconds_of = |new: usize| timed(|| decode(model, &requests, new, threads));
    // The first token needs no step of its own.
    let prefill = seconds_of(1);
    let rate = (rows * (new - 1)) as f64 / (seconds_of(new) - prefill);
    (rate, (rows * new) as f64 / rate, prefill)
}
