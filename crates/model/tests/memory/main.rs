//! What [`Memory`] says a model takes, against what it allocates, and that a warm pass or step
//! allocates nothing. A program of its own, because every allocation is counted.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use model::{
    AdapterSpec, Chunk, Config, Decoder, Decoding, Dtype, Hold, Load, Memory, Model, Precision,
    Tape, stored_precision,
};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// Allocations of this thread.
thread_local!(static CALLS: Cell<usize> = const { Cell::new(0) });

fn count(size: usize) {
    CALLS.set(CALLS.get() + 1);
    let now = NOW.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` leaves allocated, the most that it had, and its result.
fn measured<T>(work: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (NOW.load(Relaxed) - before, PEAK.load(Relaxed) - before, result)
}

/// Holds `work`, done before, to what is allocated.
fn assert_allocates_nothing(what: &str, work: impl FnOnce()) {
    let before = CALLS.get();
    work();
    assert_eq!(CALLS.get() - before, 0, "{what}: allocations of a warm pass");
}

fn assert_near(what: &str, said: usize, taken: usize) {
    let ratio = said as f64 / taken as f64;
    assert!((0.9..1.1).contains(&ratio), "{what}: said {said}, took {taken}");
}

fn config(tied: bool, family: &str) -> Config {
    Config::from_value(serde_json::json!({
        "architectures": [format!("{family}ForCausalLM")],
        "model_type": family.to_lowercase(),
        "vocab_size": 3000,
        "hidden_size": 192,
        "head_dim": 32,
        "intermediate_size": 500,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
    }))
    .unwrap()
}

/// Passes over a model, and what they take.
fn check(model: &Model, memory: &Memory<'_>, what: &str) {
    let tokens: Vec<u32> = (0..400).map(|i| i % 2999).collect();
    let mut chunk = Chunk::default();
    chunk.push_group(&tokens[..100], &[&tokens[..150], &tokens[7..159]]);
    let (tokens_all, targets) = (chunk.tokens.len(), chunk.targets.len());
    let load = Load { tokens: tokens_all, targets, sequence: 251 };
    for recompute in [false, true] {
        if memory.learned() == 0 {
            continue;
        }
        let mut grads = vec![0.0; model.layout.len()];
        assert_eq!(memory.learned(), grads.len(), "{what}");
        let slopes = vec![1.0; chunk.targets.len()];
        let mut tape = Tape::recomputing(recompute);
        let mut pass = || {
            model.forward_dropping(&chunk, 1.0, &[1, 2, 3], &mut tape).unwrap();
            model.backward(&chunk, 1.0, &slopes, &mut grads, &mut tape);
        };
        let (_, took, ()) = measured(&mut pass);
        let said = memory.learning(load, recompute);
        let what = format!("{what}, learning, {recompute}");
        assert_near(&what, said, took);
        assert_allocates_nothing(&what, pass);
    }
    let (_, took, ()) = measured(|| model.score(&chunk, 1.0, &mut Tape::default()).unwrap());
    assert_near(&format!("{what}, scoring"), memory.reading(load), took);
    let asked = Decoding { rows: 12, prompts: 2, prompt_tokens: 120, new_tokens: 64 };
    let (_, took, ()) = measured(|| {
        let groups: Vec<(&[u32], usize)> = vec![(&tokens[..120], 6), (&tokens[7..127], 6)];
        let mut decoder = Decoder::start(model, &groups, 64, &mut Tape::default()).unwrap();
        decoder.step(&[1; 12]);
        assert_allocates_nothing(&format!("{what}, decoding"), || {
            for _ in 1..64 {
                decoder.step(&[1; 12]);
            }
        });
    });
    assert_near(&format!("{what}, decoding"), memory.decoding(asked), took);
}

#[test]
fn what_is_said_is_what_is_taken() {
    for (tied, family) in [(true, "Qwen2"), (false, "Qwen3"), (true, "Llama")] {
        let spec = AdapterSpec {
            r: 40,
            lora_alpha: 8.0,
            lora_dropout: if family == "Qwen3" { 0.1 } else { 0.0 },
            use_rslora: false,
            target_modules: AdapterSpec::all_linear(),
        };
        let config = config(tied, family);
        let mut state = 1u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let memory = Memory::of(&config, Hold::Learning, Precision::Float32, None).unwrap();
        let (took, _, model) = measured(|| Model::random(config.clone(), &mut number));
        assert_near(family, memory.weights(), took);
        check(&model, &memory, family);
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path(), Dtype::Bf16).unwrap();
        drop(model);
        assert_eq!(stored_precision(dir.path()).unwrap(), Precision::Bfloat16);
        let all = [None, Some(Precision::Float32), Some(Precision::Int8), Some(Precision::Nf4)];
        // The precision decides how weights are held, the family what else there is.
        for precision in all.into_iter().take(if family == "Qwen2" { 4 } else { 1 }) {
            let what = format!("{family} {precision:?}");
            let hold = Hold::Frozen(precision);
            let memory = Memory::of(&config, hold, Precision::Bfloat16, Some(&spec)).unwrap();
            let (took, most, mut model) = measured(|| Model::load(dir.path(), hold).unwrap());
            assert_near(&what, memory.weights(), took);
            assert!(most < took + took / 10 + (1 << 20), "{what}: {most} to load {took}");
            let (took, _, ()) = measured(|| model.attach(spec.clone(), &mut number).unwrap());
            assert_near(&format!("{what}, adapter"), memory.adapter(), took);
            check(&model, &memory, &what);
        }
    }
}
