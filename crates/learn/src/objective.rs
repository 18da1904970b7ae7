//! The loss as a pure function of selected log-probs, with its derivative.
//!
//! Every objective here depends on the weights only through the log-probs of the sampled
//! tokens, so this is all the calculus there is outside the model. Everything is in f64, and
//! the normaliser is that of the whole optimizer step: how a batch is cut changes nothing.

/// What is done with a token's ratio and advantage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Surrogate {
    /// `-min(r A, clip(r, 1 - low, 1 + high) A)` with `r` the token's ratio (Schulman et al.
    /// 2017, eq. 7; two bounds as in DAPO).
    PpoClip {
        /// How far below 1 the ratio may go.
        low: f64,
        /// How far above.
        high: f64,
    },
    /// `-A log p`: the policy gradient, on policy.
    Reinforce,
    /// `-log p`, whatever the advantage: imitation.
    Nll,
}

/// How token losses become one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    /// Over all tokens of the step (DAPO).
    TokenMean,
    /// Over the tokens of each sequence, then over sequences (GRPO).
    SequenceMean,
    /// Sum over tokens, divided by sequences times this length (Dr. GRPO).
    ConstantLength(f64),
}

/// A complete objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// The token loss.
    pub surrogate: Surrogate,
    /// The way to one number.
    pub aggregation: Aggregation,
    /// Weight of the k3 estimate of KL to the reference (Schulman 2020); 0 for none.
    pub kl_beta: f64,
}

/// One sequence: log-probs of its completion tokens.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Under the policy being trained.
    pub logprobs: &'a [f64],
    /// Under the policy that the ratio is taken to.
    pub old: &'a [f64],
    /// Under the reference; empty where there is none.
    pub reference: &'a [f64],
    /// Which tokens count. Whatever stands under `false` does not matter, NaN included.
    pub mask: &'a [bool],
    /// The advantage of the sequence.
    pub advantage: f64,
    /// How many identical sequences the row stands for.
    pub count: usize,
}

/// What the whole optimizer step is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Norm {
    /// Tokens that count.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
}

/// The value of an objective on some rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Value {
    /// Their share of the loss.
    pub loss: f64,
    /// Its derivative by each log-prob, row after row.
    pub dlogprobs: Vec<f64>,
    /// Tokens on the clipped branch.
    pub clipped: usize,
    /// Sum of the k3 estimates.
    pub kl: f64,
}

/// The loss of `rows` and its derivative by each of their log-probs.
pub fn objective(rows: &[Row<'_>], spec: &Objective, norm: Norm) -> Value {
    let mut value = Value::default();
    for row in rows {
        let counted = row.mask.iter().filter(|m| **m).count().max(1) as f64;
        let weight = row.count as f64
            * match spec.aggregation {
                Aggregation::TokenMean => 1.0 / norm.tokens as f64,
                Aggregation::SequenceMean => 1.0 / (norm.sequences as f64 * counted),
                Aggregation::ConstantLength(l) => 1.0 / (norm.sequences as f64 * l),
            };
        for t in 0..row.logprobs.len() {
            if !row.mask[t] {
                value.dlogprobs.push(0.0);
                continue;
            }
            let (mut loss, mut slope) = token(row, t, spec.surrogate, &mut value.clipped);
            if let Some(reference) = row.reference.get(t) {
                let d = reference - row.logprobs[t];
                let k3 = d.exp() - d - 1.0;
                value.kl += k3 * row.count as f64;
                loss += spec.kl_beta * k3;
                slope += spec.kl_beta * (1.0 - d.exp());
            }
            value.loss += weight * loss;
            value.dlogprobs.push(weight * slope);
        }
    }
    value
}

/// Loss and derivative of one token.
fn token(row: &Row<'_>, t: usize, surrogate: Surrogate, clipped: &mut usize) -> (f64, f64) {
    let (logprob, a) = (row.logprobs[t], row.advantage);
    match surrogate {
        Surrogate::Nll => (-logprob, -1.0),
        Surrogate::Reinforce => (-a * logprob, -a),
        Surrogate::PpoClip { low, high } => {
            let ratio = (logprob - row.old[t]).exp();
            let outside = (a > 0.0 && ratio > 1.0 + high) || (a < 0.0 && ratio < 1.0 - low);
            if outside {
                *clipped += row.count;
                (-ratio.clamp(1.0 - low, 1.0 + high) * a, 0.0)
            } else {
                (-ratio * a, -ratio * a)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRPO: Objective = Objective {
        surrogate: Surrogate::PpoClip { low: 0.2, high: 0.2 },
        aggregation: Aggregation::SequenceMean,
        kl_beta: 0.0,
    };

    fn one(ratio: f64, advantage: f64) -> Value {
        let (logprobs, old) = ([ratio.ln()], [0.0]);
        let row = Row {
            logprobs: &logprobs,
            old: &old,
            reference: &[],
            mask: &[true],
            advantage,
            count: 1,
        };
        objective(&[row], &GRPO, Norm { tokens: 1, sequences: 1 })
    }

    #[test]
    fn clipping_on_both_sides() {
        for (ratio, a, loss, slope) in [
            (1.5, 1.0, -1.2, 0.0),
            (1.5, -1.0, 1.5, 1.5),
            (0.5, -1.0, 0.8, 0.0),
            (0.5, 1.0, -0.5, -0.5),
        ] {
            let value = one(ratio, a);
            assert!((value.loss - loss).abs() < 1e-12);
            assert!((value.dlogprobs[0] - slope).abs() < 1e-12);
        }
    }

    #[test]
    fn aggregation_of_two_lengths() {
        let row = |x: &'static [f64], advantage| Row {
            logprobs: x,
            old: x,
            reference: &[],
            mask: &[true, true, true][..x.len()],
            advantage,
            count: 1,
        };
        let rows = [row(&[0.0], 1.0), row(&[0.0, 0.0, 0.0], -1.0)];
        let norm = Norm { tokens: 4, sequences: 2 };
        for (aggregation, loss) in [
            (Aggregation::SequenceMean, 0.0),
            (Aggregation::TokenMean, 0.5),
            (Aggregation::ConstantLength(4.0), 0.25),
        ] {
            let value = objective(&rows, &Objective { aggregation, ..GRPO }, norm);
            assert!((value.loss - loss).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_masked_does_not_leak() {
        let logprobs = [-1.0, f64::NAN];
        let row = Row {
            logprobs: &logprobs,
            old: &logprobs,
            reference: &[],
            mask: &[true, false],
            advantage: 1.0,
            count: 1,
        };
        let value = objective(&[row], &GRPO, Norm { tokens: 1, sequences: 1 });
        assert_eq!(value.dlogprobs, [-1.0, 0.0]);
    }
}
