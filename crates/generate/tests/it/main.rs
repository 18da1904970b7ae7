//! Completions depend on the weights, the prompt and the seed, and on nothing else.

#![expect(clippy::unwrap_used, reason = "in a test, what cannot be is a failure")]

use std::path::Path;

use generate::{Completion, Filter, Request, Sampling, Stop, generate};
use model::{Chunk, Hold, Model, Tape};

/// No token has this id: completions end at their length.
const NEVER: u32 = u32::MAX;

fn model() -> Model {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Model::load(&here.join("../model/tests/golden/qwen2-tiny"), Hold::Learning).unwrap()
}

fn sampling(temperature: f32, eos: u32) -> Sampling {
    let filter = Filter::default();
    Sampling { temperature, completion_tokens_max: 24, eos: vec![eos], stop: None, filter }
}

/// Prompts of several lengths, each with several seeds, one without any.
fn requests() -> Vec<Request> {
    let prompts: [Vec<u32>; 4] = [(1..30).collect(), vec![7], (3..9).collect(), vec![2, 2]];
    let n_seeds = [5u64, 1, 0, 9];
    let pairs = prompts.into_iter().zip(n_seeds).enumerate();
    pairs
        .map(|(i, (prompt, n))| Request {
            prompt,
            seeds: (0..n).map(|s| 100 * i as u64 + s).collect(),
        })
        .collect()
}

/// A token that a few of the completions draw early: with it as the end, lengths differ.
fn common_token(model: &Model) -> u32 {
    let found = generate(model, &requests(), &sampling(1.0, NEVER), 1).unwrap();
    let drawn: Vec<u32> = found.iter().flatten().flat_map(|c| c.tokens.clone()).collect();
    let count = |t: u32| drawn.iter().filter(|d| **d == t).count();
    drawn.iter().copied().max_by_key(|t| count(*t)).unwrap()
}

#[test]
fn threads_and_company_change_nothing() {
    let model = model();
    // The colder, the longer completions are one row.
    for temperature in [0.0, 0.1, 0.3, 0.7, 1.0] {
        let sampling = sampling(temperature, common_token(&model));
        let expected = generate(&model, &requests(), &sampling, 1).unwrap();
        for threads in [2, 3, 7, 50] {
            assert_eq!(generate(&model, &requests(), &sampling, threads).unwrap(), expected);
        }
        // Each completion alone, and all of them in another order.
        for (request, expected) in requests().iter().zip(&expected) {
            for (seed, expected) in request.seeds.iter().zip(expected) {
                let alone = Request { prompt: request.prompt.clone(), seeds: vec![*seed] };
                let found = generate(&model, &[alone], &sampling, 1).unwrap();
                assert_eq!(found[0][0], *expected);
            }
        }
        let reversed: Vec<Request> = requests().into_iter().rev().collect();
        let mut found = generate(&model, &reversed, &sampling, 2).unwrap();
        found.reverse();
        assert_eq!(found, expected);
    }
}

#[test]
fn more_rows_than_a_thread_decodes_together_come_in_order() {
    let model = model();
    let seeds: Vec<u64> = (0..150).collect();
    let sampling = Sampling { completion_tokens_max: 3, ..sampling(1.0, NEVER) };
    let all = [Request { prompt: vec![4, 5], seeds: seeds.clone() }];
    let found = generate(&model, &all, &sampling, 2).unwrap();
    assert_eq!(found[0].len(), 150);
    for at in [0, 63, 64, 75, 149] {
        let alone = [Request { prompt: vec![4, 5], seeds: vec![seeds[at]] }];
        assert_eq!(generate(&model, &alone, &sampling, 1).unwrap()[0][0], found[0][at]);
    }
}

#[test]
fn greedy_ignores_the_seed_and_takes_the_most_likely_token() {
    let model = model();
    let prompt: Vec<u32> = (1..12).collect();
    let request = [Request { prompt: prompt.clone(), seeds: vec![1, 2, 3] }];
    let found = generate(&model, &request, &sampling(0.0, NEVER), 2).unwrap().remove(0);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);

    // Against the training forward: no token is likelier than the one taken.
    let tokens = &found[0].tokens;
    let first = log_prob(&model, &prompt, tokens[0]);
    assert_eq!(first, found[0].logprobs[0]);
    for other in 0..model.config.vocab_size as u32 {
        assert!(log_prob(&model, &prompt, other) <= first, "{other}");
    }
}

/// The log-prob of `token` after `prompt`, by the training forward.
fn log_prob(model: &Model, prompt: &[u32], token: u32) -> f32 {
    let mut chunk = Chunk::default();
    chunk.push_group(prompt, &[&[token]]);
    let mut tape = Tape::default();
    model.forward(&chunk, 1.0, &mut tape).unwrap();
    tape.log_probs()[0]
}

#[test]
fn logprobs_are_those_of_the_training_forward() {
    let model = model();
    for temperature in [0.7, 1.0] {
        let found = generate(&model, &requests(), &sampling(temperature, NEVER), 2).unwrap();
        for (request, completions) in requests().iter().zip(found) {
            let tokens: Vec<&[u32]> = completions.iter().map(|c| &c.tokens[..]).collect();
            if tokens.is_empty() {
                continue;
            }
            let mut chunk = Chunk::default();
            chunk.push_group(&request.prompt, &tokens);
            let mut tape = Tape::default();
            model.forward(&chunk, temperature, &mut tape).unwrap();
            let sampled: Vec<f32> = completions.iter().flat_map(|c| c.logprobs.clone()).collect();
            assert_eq!(tape.log_probs(), sampled);
        }
    }
}

#[test]
fn a_completion_ends_with_the_end_token_or_at_its_length() {
    let model = model();
    let eos = common_token(&model);
    let free = generate(&model, &requests(), &sampling(1.0, NEVER), 1).unwrap();
    let ended = generate(&model, &requests(), &sampling(1.0, eos), 1).unwrap();
    let mut stops = Vec::new();
    for (free, ended) in free.iter().flatten().zip(ended.iter().flatten()) {
        assert_eq!((free.tokens.len(), free.stop), (24, Stop::Length));
        // The end token cuts the completion, itself included, and changes nothing before it.
        let end = free.tokens.iter().position(|t| *t == eos);
        let n = end.map_or(24, |at| at + 1);
        let stop = if end.is_some() { Stop::End } else { Stop::Length };
        let logprobs = free.logprobs[..n].to_vec();
        let tokens = free.tokens[..n].to_vec();
        let expected = Completion { tokens, logprobs, drawn_logprobs: Vec::new(), stop };
        assert_eq!(*ended, expected);
        stops.push(stop);
    }
    assert!(stops.contains(&Stop::End) && stops.contains(&Stop::Length), "{stops:?}");
}

#[test]
fn filtered_draws_say_both_log_probs() {
    let model = model();
    let filter = Filter { top_k: 5, top_p: 0.9, ..Filter::default() };
    let filtered = Sampling { filter, ..sampling(0.7, NEVER) };
    let found = generate(&model, &requests(), &filtered, 1).unwrap();
    assert_eq!(generate(&model, &requests(), &filtered, 3).unwrap(), found);
    for (request, completions) in requests().iter().zip(&found) {
        for c in completions {
            // What the learner sees is the whole distribution, as ever.
            let mut chunk = Chunk::default();
            chunk.push_group(&request.prompt, &[&c.tokens]);
            let mut tape = Tape::default();
            model.forward(&chunk, 0.7, &mut tape).unwrap();
            assert_eq!(tape.log_probs(), c.logprobs);
            // The draw was from fewer tokens, of which each is likelier.
            assert_eq!(c.drawn_logprobs.len(), c.tokens.len());
            let both = c.drawn_logprobs.iter().zip(&c.logprobs);
            assert!(both.into_iter().all(|(drawn, all)| drawn > all && *drawn <= 0.0));
        }
    }
    let one = Sampling { filter: Filter { top_k: 1, ..filter }, ..sampling(1.0, NEVER) };
    let greedy = generate(&model, &requests(), &sampling(0.0, NEVER), 1).unwrap();
    let top = generate(&model, &requests(), &one, 1).unwrap();
    let tokens = |all: &[Vec<Completion>]| -> Vec<Vec<u32>> {
        all.iter().flatten().map(|c| c.tokens.clone()).collect()
    };
    assert_eq!(tokens(&greedy), tokens(&top));
}

#[test]
fn draws_follow_the_distribution() {
    let model = model();
    let n = 4_000;
    let request = [Request { prompt: vec![9, 8, 7], seeds: (0..n).collect() }];
    let sampling = Sampling { completion_tokens_max: 1, ..sampling(1.0, NEVER) };
    let found = generate(&model, &request, &sampling, 2).unwrap().remove(0);
    for token in (0..model.config.vocab_size as u32).step_by(7) {
        let p = f64::from(log_prob(&model, &[9, 8, 7], token)).exp();
        let drawn = found.iter().filter(|c| c.tokens[0] == token).count() as f64;
        let deviation = (n as f64 * p * (1.0 - p)).sqrt();
        assert!((drawn - n as f64 * p).abs() < 5.0 * deviation + 1.0, "{token}: {drawn} of {p}");
    }
}

#[test]
fn a_prompt_that_does_not_fit_is_refused() {
    let model = model();
    let ask = |prompt: Vec<u32>| {
        let request = [Request { prompt, seeds: vec![0] }];
        generate(&model, &request, &sampling(1.0, NEVER), 1)
    };
    assert!(ask(vec![]).is_err());
    assert!(ask(vec![1; model.config.max_position_embeddings]).is_err());
    assert!(ask(vec![model.config.vocab_size as u32]).is_err());
    assert!(generate(&model, &[], &sampling(1.0, NEVER), 2).unwrap().is_empty());
}
