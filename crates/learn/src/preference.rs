//! Losses of pairs: a completion that passed against one that failed.

/// What a pair's margin `(l_w - ref_w) - (l_l - ref_l)` is to become; `l` is the log-prob of a
/// whole completion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preference {
    /// `-log sigmoid(beta margin)` (DPO, Rafailov et al. 2023, eq. 7), or with label smoothing
    /// `-(1 - s) log sigmoid(beta margin) - s log sigmoid(-beta margin)`.
    Dpo {
        /// How far the policy may leave the reference: small is far.
        beta: f64,
        /// The chance `s` that a pair is the wrong way round.
        smoothing: f64,
    },
    /// `(margin - 1 / (2 beta))^2` (IPO, Azar et al. 2023, eq. 17), of log-probs averaged over
    /// tokens, as TRL has it after asking the authors, or summed, as the paper prints it.
    Ipo {
        /// As above.
        beta: f64,
        /// How a completion's log-prob is made of its tokens'.
        length: Length,
    },
}

/// How token log-probs become that of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// A completion of a pair: the sums of its token log-probs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// Under the policy being trained.
    pub logprob: f64,
    /// Under the reference.
    pub reference: f64,
    /// How many tokens.
    pub tokens: usize,
}

/// What a pair costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairValue {
    /// The loss.
    pub loss: f64,
    /// Its derivative by each token log-prob of the chosen completion.
    pub dchosen: f64,
    /// And of the rejected one.
    pub drejected: f64,
    /// `beta` times the margin: how much more the policy prefers the chosen one than the
    /// reference does (`rewards/margins` in TRL).
    pub margin: f64,
}

impl Preference {
    /// The loss of one pair, and its derivatives.
    pub fn pair(&self, chosen: Side, rejected: Side) -> PairValue {
        let (length, beta) = match *self {
            Self::Dpo { beta, .. } => (Length::Sum, beta),
            Self::Ipo { beta, length } => (length, beta),
        };
        let share = |side: Side| match length {
            Length::Sum => 1.0,
            Length::Mean => 1.0 / side.tokens.max(1) as f64,
        };
        let score = |side: Side| (side.logprob - side.reference) * share(side);
        let margin = score(chosen) - score(rejected);
        let (loss, slope) = match *self {
            Self::Dpo { beta, smoothing } => {
                let (right, wrong) = (softplus(-beta * margin), softplus(beta * margin));
                let loss = (1.0 - smoothing) * right + smoothing * wrong;
                let slope = smoothing * sigmoid(beta * margin)
                    - (1.0 - smoothing) * sigmoid(-beta * margin);
                (loss, beta * slope)
            }
            Self::Ipo { beta, .. } => {
                let off = margin - 0.5 / beta;
                (off * off, 2.0 * off)
            }
        };
        let (dchosen, drejected) = (slope * share(chosen), -slope * share(rejected));
        PairValue { loss, dchosen, drejected, margin: beta * margin }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `log(1 + exp(x))`, which is `-log sigmoid(-x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: Side = Side { logprob: -3.0, reference: -3.0, tokens: 4 };
    const ALL: [Preference; 4] = [
        Preference::Dpo { beta: 0.1, smoothing: 0.0 },
        Preference::Dpo { beta: 0.5, smoothing: 0.1 },
        Preference::Ipo { beta: 0.1, length: Length::Sum },
        Preference::Ipo { beta: 0.1, length: Length::Mean },
    ];

    #[test]
    fn at_the_reference() {
        let value = ALL[0].pair(SIDE, SIDE);
        assert!((value.loss - 2.0_f64.ln()).abs() < 1e-15);
        assert!((value.dchosen + 0.05).abs() < 1e-15 && (value.drejected - 0.05).abs() < 1e-15);
        assert_eq!(ALL[2].pair(SIDE, SIDE).loss, 25.0);
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        let chosen = Side { logprob: -2.5, reference: -3.25, tokens: 3 };
        let rejected = Side { logprob: -4.0, reference: -3.5, tokens: 5 };
        let moved = |side: Side, by: f64| Side { logprob: side.logprob + by, ..side };
        for spec in ALL {
            let value = spec.pair(chosen, rejected);
            let loss = |a: f64, b: f64| spec.pair(moved(chosen, a), moved(rejected, b)).loss;
            let numeric = (loss(1e-6, 0.0) - loss(-1e-6, 0.0)) / 2e-6;
            assert!((numeric - value.dchosen).abs() < 1e-7, "{spec:?}");
            let numeric = (loss(0.0, 1e-6) - loss(0.0, -1e-6)) / 2e-6;
            assert!((numeric - value.drejected).abs() < 1e-7, "{spec:?}");
            assert!(value.dchosen < 0.0 && value.drejected > 0.0, "{spec:?}");
        }
    }

    #[test]
    fn far_margins_do_not_overflow() {
        let far = Side { logprob: -1e6, ..SIDE };
        let value = ALL[0].pair(far, SIDE);
        assert!((value.loss - 0.1 * (1e6 - 3.0)).abs() < 1e-6 && value.dchosen == -0.1);
        assert_eq!(ALL[0].pair(SIDE, far).loss, 0.0);
    }
}
