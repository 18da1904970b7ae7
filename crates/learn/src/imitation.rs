//! Imitation of what a search found: weights for [`Surrogate::Reinforce`], whose loss is then
//! a weighted NLL.
//!
//! [`Surrogate::Reinforce`]: crate::objective::Surrogate::Reinforce

/// The weight of each of a prompt's paths, such that [`Aggregation::SequenceSum`] over all
/// paths of all prompts is the mean over prompts of `-sum_i q_i log p(path_i)`, with `q` the
/// paths' `scores` normalised. Up to the entropy of `q`, which no policy changes, that is the
/// mean of KL(search, policy). `sequences` and `prompts` are those of the whole batch.
///
/// A path with score 0, one that failed, gets weight 0; so do all where no path has a positive
/// score.
///
/// [`Aggregation::SequenceSum`]: crate::objective::Aggregation::SequenceSum
pub fn search_weights(scores: &[f64], sequences: usize, prompts: usize) -> Vec<f64> {
    let total: f64 = scores.iter().filter(|s| **s > 0.0).sum();
    let weight = |score: &f64| {
        if *score > 0.0 { score / total * sequences as f64 / prompts.max(1) as f64 } else { 0.0 }
    };
    scores.iter().map(weight).collect()
}

/// KL(search, policy) of one prompt over its scored paths: `sum_i q_i (log q_i - log p_i)`.
///
/// # Panics
/// If there is not one log-prob a path.
pub fn search_kl(scores: &[f64], logprobs: &[f64]) -> f64 {
    assert_eq!(scores.len(), logprobs.len(), "one log-prob a path");
    let q = search_weights(scores, 1, 1);
    let each = q.iter().zip(logprobs).filter(|(q, _)| **q > 0.0);
    each.map(|(q, logprob)| q * (q.ln() - logprob)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_normalised_scores() {
        assert_eq!(search_weights(&[3.0, 0.0, 1.0], 1, 1), [0.75, 0.0, 0.25]);
        assert_eq!(search_weights(&[3.0, 0.0, 1.0], 6, 2), [2.25, 0.0, 0.75]);
        assert_eq!(search_weights(&[0.0, 0.0], 6, 2), [0.0, 0.0]);
    }

    #[test]
    fn the_divergence_of_a_policy_from_itself_is_zero() {
        let p = [0.75_f64, 0.25];
        assert!(search_kl(&[3.0, 1.0], &p.map(f64::ln)).abs() < 1e-15);
        assert!(search_kl(&[1.0, 1.0], &p.map(f64::ln)) > 0.1);
    }
}
