//! Advantages: how much better a rollout was than its baseline, in f64.
//!
//! A method is a [`AdvantageSpec`]: a return for every token, a baseline, and a scale, each
//! over a part of the batch. Rewards that are all equal give advantages of zero, exactly:
//! dividing by a tiny deviation must not turn rounding into signal.

use std::collections::BTreeMap;

use crate::statistics::{all_equal, mean, variance};

/// The advantage of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub enum Advantage {
    /// The same for all its tokens.
    Whole(f64),
    /// One a token.
    Tokens(Vec<f64>),
}

impl Advantage {
    /// The advantage of token `t`.
    pub fn at(&self, t: usize) -> f64 {
        match self {
            Self::Whole(a) => *a,
            Self::Tokens(a) => a[t],
        }
    }

    /// Its mean over the tokens.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Whole(a) => *a,
            Self::Tokens(a) => mean(a),
        }
    }
}

impl Default for Advantage {
    fn default() -> Self {
        Self::Whole(1.0)
    }
}

impl From<f64> for Advantage {
    fn from(a: f64) -> Self {
        Self::Whole(a)
    }
}

/// A completion with its reward, as advantages see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// What the whole completion was worth.
    pub reward: f64,
    /// Its prompt: completions of one prompt have the same.
    pub group: usize,
    /// Its kind of task and its role, as one number (TRR++).
    pub kind: usize,
    /// Tokens that are learnt from.
    pub tokens: usize,
    /// What each of these tokens pays, as [`crate::kl::KlReward`] gives it; empty for nothing.
    pub penalties: Vec<f64>,
}

/// The part of the batch that a statistic is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The completions of one prompt.
    Group,
    /// Those of one kind of task in one role.
    Kind,
    /// All of them.
    Batch,
}

impl Over {
    fn key(self, outcome: &Outcome) -> usize {
        match self {
            Self::Group => outcome.group,
            Self::Kind => outcome.kind,
            Self::Batch => 0,
        }
    }

    fn parts(self, outcomes: &[Outcome]) -> impl Iterator<Item = Vec<usize>> {
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, outcome) in outcomes.iter().enumerate() {
            parts.entry(self.key(outcome)).or_default().push(i);
        }
        parts.into_values()
    }
}

/// What a token's return is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Returns {
    /// The reward of the completion less all it pays, for every token.
    Total,
    /// The reward, at the last token, and the payments from this token on, each discounted by
    /// `gamma` a token. The baseline is taken off the reward.
    ToGo {
        /// The discount.
        gamma: f64,
    },
}

/// What is taken off the return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Nothing.
    None,
    /// The mean. A completion that is alone in its part has advantage 0.
    Mean(Over),
    /// The mean of the others (RLOO). One that is alone has advantage 0.
    LeaveOneOut(Over),
    /// The mean weighted by length (OPO, Hao et al. 2025).
    LengthWeighted(Over),
}

/// What is then divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Nothing.
    None,
    /// The standard deviation of the returns, before the baseline, plus `eps`.
    Deviation {
        /// Over what.
        over: Over,
        /// The deviation divides by `n - ddof`.
        ddof: usize,
        /// Added to it.
        eps: f64,
    },
    /// Whitening: off with the mean over *tokens*, and divided by the root of their variance
    /// (`n - 1`) plus `eps`. A long completion counts more than a short one.
    Whiten {
        /// Over what.
        over: Over,
        /// Added to the variance.
        eps: f64,
    },
}

/// How rewards become advantages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdvantageSpec {
    /// The return of a token.
    pub returns: Returns,
    /// What it is compared with.
    pub baseline: Baseline,
    /// The unit it is measured in.
    pub scale: Scale,
}

impl AdvantageSpec {
    /// The total less this baseline, not scaled.
    pub const fn centred(baseline: Baseline) -> Self {
        Self { returns: Returns::Total, baseline, scale: Scale::None }
    }

    /// Whether a group whose rewards are all equal teaches nothing.
    pub fn compares_within_groups(&self) -> bool {
        use Baseline::{LeaveOneOut, LengthWeighted, Mean};
        matches!(self.baseline, Mean(o) | LeaveOneOut(o) | LengthWeighted(o) if o == Over::Group)
    }
}

/// The advantage of every outcome.
///
/// # Panics
/// If an outcome has payments, but not one a token.
pub fn advantages(outcomes: &[Outcome], spec: &AdvantageSpec) -> Vec<Advantage> {
    let paid = |o: &Outcome| o.penalties.iter().sum::<f64>();
    let rewards: Vec<f64> = match spec.returns {
        Returns::Total => outcomes.iter().map(|o| o.reward - paid(o)).collect(),
        Returns::ToGo { .. } => outcomes.iter().map(|o| o.reward).collect(),
    };
    let mut centred = rewards.clone();
    take_off(&mut centred, outcomes, spec.baseline);
    let mut advantages: Vec<Advantage> = match spec.returns {
        Returns::Total => centred.into_iter().map(Advantage::Whole).collect(),
        Returns::ToGo { gamma } => {
            let each = outcomes.iter().zip(centred);
            each.map(|(o, reward)| Advantage::Tokens(to_go(o, reward, gamma))).collect()
        }
    };
    match spec.scale {
        Scale::None => {}
        Scale::Deviation { over, ddof, eps } => {
            for part in over.parts(outcomes) {
                let values = pick(&rewards, &part);
                let deviation = variance(&values, mean(&values), ddof).sqrt();
                let unit = if all_equal(&values) { f64::INFINITY } else { deviation + eps };
                part.iter().for_each(|i| map(&mut advantages[*i], |a| a / unit));
            }
        }
        Scale::Whiten { over, eps } => {
            for part in over.parts(outcomes) {
                whiten_part(&mut advantages, outcomes, &part, eps);
            }
        }
    }
    advantages
}

fn pick(values: &[f64], part: &[usize]) -> Vec<f64> {
    part.iter().map(|i| values[*i]).collect()
}

fn map(advantage: &mut Advantage, f: impl Fn(f64) -> f64) {
    match advantage {
        Advantage::Whole(a) => *a = f(*a),
        Advantage::Tokens(a) => a.iter_mut().for_each(|a| *a = f(*a)),
    }
}

/// Takes the baseline off the rewards.
fn take_off(rewards: &mut [f64], outcomes: &[Outcome], baseline: Baseline) {
    let over = match baseline {
        Baseline::None => return,
        Baseline::Mean(o) | Baseline::LeaveOneOut(o) | Baseline::LengthWeighted(o) => o,
    };
    for part in over.parts(outcomes) {
        let values = pick(rewards, &part);
        if all_equal(&values) {
            part.iter().for_each(|i| rewards[*i] = 0.0);
            continue;
        }
        let n = values.len() as f64;
        let (base, factor) = match baseline {
            Baseline::LengthWeighted(_) => {
                let tokens = || part.iter().map(|i| outcomes[*i].tokens as f64);
                let weighed: f64 = tokens().zip(&values).map(|(n, r)| n * r).sum();
                (weighed / tokens().sum::<f64>().max(1.0), 1.0)
            }
            // R - (sum - R) / (n - 1) is (R - mean) n / (n - 1).
            Baseline::LeaveOneOut(_) => (mean(&values), n / (n - 1.0)),
            Baseline::Mean(_) | Baseline::None => (mean(&values), 1.0),
        };
        part.iter().for_each(|i| rewards[*i] = (rewards[*i] - base) * factor);
    }
}

/// The return from each token on.
fn to_go(outcome: &Outcome, reward: f64, gamma: f64) -> Vec<f64> {
    let n = outcome.tokens;
    assert!([0, n].contains(&outcome.penalties.len()), "one payment a token");
    let mut returns = vec![0.0; n];
    let mut later = reward;
    for t in (0..n).rev() {
        later -= outcome.penalties.get(t).copied().unwrap_or(0.0);
        returns[t] = later;
        later *= gamma;
    }
    returns
}

fn whiten_part(all: &mut [Advantage], outcomes: &[Outcome], part: &[usize], eps: f64) {
    let mut tokens = Vec::new();
    for i in part {
        tokens.extend((0..outcomes[*i].tokens).map(|t| all[*i].at(t)));
    }
    let (mean, factor) = whitening(&tokens, eps);
    part.iter().for_each(|i| map(&mut all[*i], |a| (a - mean) * factor));
}

/// What whitening takes off, and what it multiplies by.
fn whitening(tokens: &[f64], eps: f64) -> (f64, f64) {
    let mean = mean(tokens);
    let factor = if all_equal(tokens) { 0.0 } else { (variance(tokens, mean, 1) + eps).powf(-0.5) };
    (mean, factor)
}

/// Whitens the advantages of all tokens of a batch: mean 0, variance 1 over tokens.
pub fn whiten(rows: &mut [Vec<f64>]) {
    let tokens: Vec<f64> = rows.iter().flatten().copied().collect();
    let (mean, factor) = whitening(&tokens, 1e-8);
    rows.iter_mut().flatten().for_each(|a| *a = (*a - mean) * factor);
}

/// Whether a group's rewards are all equal, so that it teaches nothing.
pub fn no_signal(rewards: &[f64]) -> bool {
    all_equal(rewards)
}

/// What an overlong completion is taken off its reward (DAPO, Yu et al. 2025, eq. 13): nothing
/// up to `max - cache` tokens, then linearly down to -1 at `max` and beyond.
pub fn overlong_penalty(tokens: usize, max: usize, cache: usize) -> f64 {
    let over = tokens as f64 - (max as f64 - cache as f64);
    if over <= 0.0 { 0.0 } else { -(over / cache.max(1) as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(rewards: &[f64]) -> Vec<Outcome> {
        rewards.iter().map(|r| Outcome { reward: *r, tokens: 1, ..Outcome::default() }).collect()
    }

    fn of(outcomes: &[Outcome], spec: &AdvantageSpec) -> Vec<f64> {
        advantages(outcomes, spec).iter().map(Advantage::mean).collect()
    }

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-5, "{got:?} {want:?}");
        }
    }

    const GRPO: AdvantageSpec = AdvantageSpec {
        returns: Returns::Total,
        baseline: Baseline::Mean(Over::Group),
        scale: Scale::Deviation { over: Over::Group, ddof: 1, eps: 1e-4 },
    };
    const WHITE: AdvantageSpec = AdvantageSpec {
        returns: Returns::ToGo { gamma: 1.0 },
        baseline: Baseline::None,
        scale: Scale::Whiten { over: Over::Batch, eps: 1e-8 },
    };
    const RLOO: AdvantageSpec = AdvantageSpec::centred(Baseline::LeaveOneOut(Over::Group));
    const DR_GRPO: AdvantageSpec = AdvantageSpec::centred(Baseline::Mean(Over::Group));

    #[test]
    fn one_success_in_four() {
        let four = group(&[1.0, 0.0, 0.0, 0.0]);
        close(&of(&four, &GRPO), &[1.49970, -0.49990, -0.49990, -0.49990]);
        let scale = Scale::Deviation { over: Over::Group, ddof: 0, eps: 0.0 };
        close(&of(&four, &AdvantageSpec { scale, ..GRPO })[..1], &[1.732_051]);
        close(&of(&four, &RLOO), &[1.0, -1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0]);
        close(&of(&four, &DR_GRPO), &[0.75, -0.25, -0.25, -0.25]);
    }

    /// Lengths 1 and 3: token statistics differ from those of sequences.
    #[test]
    fn whitening_counts_tokens() {
        let mut two = group(&[1.0, -0.5]);
        two[1].tokens = 3;
        close(&of(&two, &WHITE), &[1.5, -0.5]);
        let scale = Scale::Deviation { over: Over::Kind, ddof: 1, eps: 0.0 };
        let baseline = Baseline::Mean(Over::Kind);
        close(
            &of(&two, &AdvantageSpec { scale, baseline, ..GRPO }),
            &[0.5_f64.sqrt(), -0.5_f64.sqrt()],
        );
        let opo = AdvantageSpec::centred(Baseline::LengthWeighted(Over::Group));
        close(&of(&two, &opo), &[1.125, -0.375]);
    }

    #[test]
    fn parts_do_not_mix() {
        let mut four = group(&[1.0, 0.0, 5.0, 3.0]);
        (four[2].group, four[3].group) = (1, 1);
        (four[1].kind, four[3].kind) = (7, 7);
        close(&of(&four, &DR_GRPO), &[0.5, -0.5, 1.0, -1.0]);
        let by_kind = AdvantageSpec::centred(Baseline::Mean(Over::Kind));
        close(&of(&four, &by_kind), &[-2.0, -1.5, 2.0, 1.5]);
        let scale = Scale::Deviation { over: Over::Batch, ddof: 1, eps: 0.0 };
        let batch = variance(&[1.0, 0.0, 5.0, 3.0], 2.25, 1).sqrt();
        let lite = of(&four, &AdvantageSpec { scale, ..GRPO });
        close(&lite, &[0.5 / batch, -0.5 / batch, 1.0 / batch, -1.0 / batch]);
    }

    #[test]
    fn payments_are_paid_from_their_token_on() {
        let one = Outcome {
            reward: 1.0,
            tokens: 3,
            penalties: vec![0.1, 0.2, 0.3],
            ..Outcome::default()
        };
        let plain = AdvantageSpec { scale: Scale::None, ..WHITE };
        let Advantage::Tokens(a) = &advantages(std::slice::from_ref(&one), &plain)[0] else {
            panic!("to go is per token");
        };
        close(a, &[0.4, 0.5, 0.7]);
        let half = AdvantageSpec { returns: Returns::ToGo { gamma: 0.5 }, ..plain };
        let Advantage::Tokens(a) = &advantages(std::slice::from_ref(&one), &half)[0] else {
            panic!("to go is per token");
        };
        close(a, &[-0.025, 0.15, 0.7]);
        let total = AdvantageSpec::centred(Baseline::None);
        close(&of(&[one], &total), &[0.4]);
    }

    #[test]
    fn equal_rewards_teach_nothing() {
        for spec in [GRPO, RLOO, DR_GRPO, WHITE] {
            assert_eq!(of(&group(&[0.1; 3]), &spec), [0.0; 3]);
            assert_eq!(of(&group(&[1.0]), &spec), [0.0]);
        }
    }

    #[test]
    fn a_constant_changes_nothing_and_a_factor_leaves_grpo() {
        let rewards = [0.0, 0.25, 1.0, 0.5];
        let moved: Vec<f64> = rewards.iter().map(|r| r + 3.0).collect();
        for spec in [GRPO, RLOO, DR_GRPO, WHITE] {
            close(&of(&group(&moved), &spec), &of(&group(&rewards), &spec));
        }
        let scaled: Vec<f64> = rewards.iter().map(|r| r * 7.0).collect();
        let exact = |rewards: &[f64]| {
            let scale = Scale::Deviation { over: Over::Group, ddof: 1, eps: 0.0 };
            of(&group(rewards), &AdvantageSpec { scale, ..GRPO })
        };
        close(&exact(&scaled), &exact(&rewards));
    }

    #[test]
    fn order_changes_nothing() {
        let mut outcomes = group(&[0.0, 1.0, 0.5, 0.25, 1.0]);
        for (i, o) in outcomes.iter_mut().enumerate() {
            (o.group, o.kind, o.tokens) = (i % 2, i % 3, 1 + i);
        }
        let kinds = AdvantageSpec { scale: Scale::Whiten { over: Over::Kind, eps: 1e-8 }, ..WHITE };
        for spec in [GRPO, RLOO, DR_GRPO, WHITE, kinds] {
            let mut there = of(&outcomes, &spec);
            outcomes.reverse();
            let back = of(&outcomes, &spec);
            outcomes.reverse();
            there.reverse();
            close(&there, &back);
        }
    }

    #[test]
    fn overlong_completions_pay() {
        for (tokens, want) in
            [(100, 0.0), (16_384, 0.0), (18_432, -0.5), (20_480, -1.0), (30_000, -1.0)]
        {
            assert_eq!(overlong_penalty(tokens, 20_480, 4096), want);
        }
    }
}
