//! Products in bfloat16: how far they stray from float32, and that sampling and training stay
//! the same numbers. Where the processor has no unit for them, all precisions are float32.

use model::{Chunk, Config, Hold, MatmulPrecision, Model, Tape, team};

use crate::{
    decoding,
    golden::{SMALL, folder},
};

const ALL: [MatmulPrecision; 3] =
    [MatmulPrecision::Highest, MatmulPrecision::High, MatmulPrecision::Medium];

/// A chunk of two sequences, with a target at each token but the last.
fn chunk(vocab: usize) -> Chunk {
    let mut chunk = Chunk::default();
    for (first, n) in [(3, 40), (11, 25)] {
        let tokens: Vec<u32> = (0..n).map(|i| ((first + i * 37) % vocab) as u32).collect();
        let start = chunk.tokens.len();
        chunk.push(&tokens, None);
        chunk.targets.extend(tokens[1..].iter().enumerate().map(|(i, t)| (start + i, *t)));
    }
    chunk
}

/// Log-probs, and the gradient of their sum.
fn run(model: &Model) -> (Vec<f32>, Vec<f32>) {
    let chunk = chunk(model.config.vocab_size);
    let mut tape = Tape::default();
    model.forward(&chunk, 1.0, &mut tape).unwrap();
    let mut grads = vec![0.0; model.layout.len()];
    let slopes = vec![1.0; chunk.targets.len()];
    model.backward(&chunk, 1.0, &slopes, &mut grads, &mut tape);
    (tape.log_probs().to_vec(), grads)
}

/// The length of the difference, as a share of the length of `b`.
fn strays(a: &[f32], b: &[f32]) -> f64 {
    let length = |x: &mut dyn Iterator<Item = f32>| -> f64 {
        x.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
    };
    length(&mut a.iter().zip(b).map(|(a, b)| a - b)) / length(&mut b.iter().copied())
}

#[test]
fn lower_precisions_stray_as_little_as_they_should() {
    for name in SMALL {
        let mut model = Model::load(&folder(name), Hold::Learning).unwrap();
        let (log_probs, grads) = run(&model);
        for (precision, least) in [(MatmulPrecision::High, 1e-4), (MatmulPrecision::Medium, 2e-2)] {
            model.set_matmul_precision(precision);
            let (found, found_grads) = run(&model);
            let same = precision.arithmetic() == MatmulPrecision::Highest.arithmetic();
            assert_eq!(found == log_probs, same, "{name} {precision:?}");
            let strayed = (strays(&found, &log_probs), strays(&found_grads, &grads));
            assert!(strayed.0 < least && strayed.1 < least, "{name} {precision:?} {strayed:?}");
        }
        model.set_matmul_precision(MatmulPrecision::Highest);
        assert_eq!(run(&model), (log_probs, grads), "{name}");
    }
}

#[test]
fn decoding_has_the_bits_of_a_full_forward_at_every_precision() {
    for name in SMALL {
        for hold in [Hold::Learning, Hold::Frozen(None)] {
            let mut model = Model::load(&folder(name), hold).unwrap();
            for precision in ALL {
                model.set_matmul_precision(precision);
                decoding::check(&model);
            }
        }
    }
}

/// A model whose matrices are large enough to be shared out.
fn large() -> Model {
    let config = Config::from_value(serde_json::json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": 1030,
        "hidden_size": 384,
        "intermediate_size": 700,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
        "eos_token_id": 0,
    }))
    .unwrap();
    let mut state = 1u32;
    Model::random(config, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// Threads that share a product, rows or columns of it, compute what one computes.
#[test]
fn a_team_has_the_bits_of_one_thread() {
    let mut model = large();
    let mut many = Chunk::default();
    for i in 0..8u32 {
        many.push(&(0..40).map(|t| (t * 7 + i) % 1000).collect::<Vec<u32>>(), None);
        many.targets.push((many.tokens.len() - 1, i));
    }
    for precision in ALL {
        model.set_matmul_precision(precision);
        let score = || {
            let mut tape = Tape::default();
            model.score(&many, 1.0, &mut tape).unwrap();
            tape.log_probs().to_vec()
        };
        assert_eq!(team(3, score), score(), "{precision:?}");
        team(3, || decoding::check(&model));
    }
}
