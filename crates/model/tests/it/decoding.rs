//! Decoding from the cache has the bits of a full forward pass.

use model::{Chunk, Decoder, Hold, Model, Tape};

use crate::golden::{SMALL, folder};

fn next(token: u32, i: usize, vocab: usize) -> u32 {
    ((token as usize * 31 + i * 17 + 7) % vocab) as u32
}

/// Feeds made-up continuations of different lengths to several rows of two prompts and
/// compares every log-prob with the packed training forward, bit for bit.
pub(crate) fn check(model: &Model) {
    let vocab = model.config.vocab_size;
    let prompts: [Vec<u32>; 2] = [(1..40).collect(), (5..16).collect()];
    let rows = [3, 2];
    let lengths = [20usize, 5, 11, 1, 20];
    let mut tape = Tape::default();
    let groups: Vec<(&[u32], usize)> = prompts.iter().zip(rows).map(|(p, n)| (&p[..], n)).collect();
    let mut decoder = Decoder::start(model, &groups, 20, &mut tape).unwrap();

    let mut completions = vec![Vec::new(); 5];
    let mut decoded = vec![Vec::new(); 5];
    let mut live: Vec<usize> = (0..5).collect();
    for step in 0..20 {
        let mut keep = Vec::new();
        let mut fed = Vec::new();
        for (row, &at) in live.iter().enumerate() {
            let token = next(at as u32, step, vocab);
            completions[at].push(token);
            decoded[at].push(decoder.next(row, 0.8).log_prob(token));
            keep.push(completions[at].len() < lengths[at]);
            if *keep.last().unwrap() {
                fed.push(token);
            }
        }
        decoder.branch(&keep.iter().map(|stays| usize::from(*stays)).collect::<Vec<_>>());
        let mut keep = keep.iter();
        live.retain(|_| *keep.next().unwrap());
        if fed.is_empty() {
            break;
        }
        decoder.step(&fed);
    }

    let mut chunk = Chunk::default();
    let mut from = 0;
    for (prompt, n) in prompts.iter().zip(rows) {
        let own: Vec<&[u32]> = completions[from..from + n].iter().map(|c| &c[..]).collect();
        chunk.push_group(prompt, &own);
        from += n;
    }
    model.forward(&chunk, 0.8, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), decoded.concat());

    // And a prompt that is shared gives what a prompt of one's own gives.
    let mut alone = Chunk::default();
    let whole = [&prompts[0][..], &completions[2]].concat();
    alone.push(&whole, None);
    let p = prompts[0].len();
    alone.targets = completions[2].iter().enumerate().map(|(i, t)| (p + i - 1, *t)).collect();
    model.forward(&alone, 0.8, &mut tape).unwrap();
    assert_eq!(tape.log_probs(), decoded[2]);
}

#[test]
fn cache_equals_full_forward() {
    for name in ["qwen2-tiny", "qwen2-untied"].iter().chain(&SMALL) {
        check(&Model::load(&folder(name), Hold::Learning).unwrap());
    }
}

#[test]
fn what_sequences_have_in_common_changes_no_bit() {
    let model = Model::load(&folder("qwen2-tiny"), Hold::Learning).unwrap();
    let (prompt, a, b): (Vec<u32>, Vec<u32>, Vec<u32>) =
        ((1..20).collect(), (0..22).collect(), (20..33).collect());
    // The same, its beginning, what leaves it early and late, and what goes on from that.
    let sequences = [
        a.clone(),
        a.clone(),
        a[..9].to_vec(),
        [&a[..1], &b].concat(),
        [&a[..14], &b].concat(),
        [&a[..14], &b[..7], &a].concat(),
        b.clone(),
    ];
    let mut chunk = Chunk::default();
    chunk.push_group(&prompt, &sequences.each_ref().map(|s| &s[..]));
    // The last token of a sequence is predicted and not read.
    assert_eq!(chunk.tokens.len(), 19 + 21 + 12 + 12 + 21 + 12);
    let (mut tape, mut found) = (Tape::default(), Vec::new());
    model.forward(&chunk, 0.8, &mut tape).unwrap();
    let together = tape.log_probs().to_vec();
    for sequence in &sequences {
        let mut alone = Chunk::default();
        alone.push_group(&prompt, &[sequence]);
        model.forward(&alone, 0.8, &mut tape).unwrap();
        found.extend_from_slice(tape.log_probs());
    }
    assert_eq!(together, found);
}

#[test]
fn out_of_range_requests_are_refused() {
    let model = Model::load(&folder("qwen2-tiny"), Hold::Learning).unwrap();
    let mut tape = Tape::default();
    let mut chunk = Chunk::default();
    chunk.push(&[5000], None);
    assert!(model.forward(&chunk, 1.0, &mut tape).is_err());
    let max = model.config.max_position_embeddings;
    assert!(Decoder::start(&model, &[(&[1, 2], 1)], max, &mut tape).is_err());
    assert!(Decoder::start(&model, &[(&[], 1)], 4, &mut tape).is_err());
}
