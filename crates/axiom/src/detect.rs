//! What a run's log says about how it learnt: detectors, each with its statistic.
//!
//! All compare shares by their 95 % Wilson intervals, and fire where these lie apart. A detector
//! whose figures the recipe did not ask for says nothing, rather than that all is well.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use runlog::{Event, EventReader, FamilyScore};
use serde_json::{Value, json};
use verify::Verdict;

use crate::{loops::eval::Scores, visible};

/// What a completion gets that holds no program that can be read.
pub(crate) const UNREADABLE: [Verdict; 2] = [Verdict::NoProgram, Verdict::CompileError];
/// Steps whose mean solve rate is one point of the training curve.
const WINDOW: usize = 10;
/// What share of its highest point a curve has to reach to count as up.
const UP: f64 = 0.9;
/// The 0.975 quantile of the standard normal distribution.
const Z: f64 = 1.96;

/// What the detectors look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    steps: Vec<StepFacts>,
    /// Measurements of the families that are trained, all together, with the steps taken.
    tests: Vec<(u64, FamilyScore)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct StepFacts {
    solve_rate: f64,
    completions: u32,
    /// Completions with no program that could be read.
    unreadable: u32,
    /// Completions that passed the visible examples, and those of them that failed the hidden
    /// tests; none where that was not measured.
    visible: Option<(u32, u32)>,
}

impl History {
    /// Reads the log at `path`; the run was not trained on the families in `apart`.
    pub(crate) fn read(path: &Path, apart: &BTreeMap<String, FamilyScore>) -> Result<Self> {
        let mut history = Self::default();
        let mut now = StepFacts::default();
        for event in EventReader::open(path)? {
            match event? {
                Event::Completion { verdict, .. } => {
                    now.completions += 1;
                    now.unreadable += u32::from(is_unreadable(&verdict));
                }
                Event::Step { solve_rate, metrics, .. } => {
                    let count = |name: &str| metrics.get(name).map(|n| *n as u32);
                    let visible = count(visible::PASSED).zip(count(visible::ONLY));
                    history.steps.push(StepFacts { solve_rate, visible, ..now });
                    now = StepFacts::default();
                }
                Event::Eval { step, families, .. } => {
                    let own = families.iter().filter(|(name, _)| !apart.contains_key(*name));
                    history.tests.push((step, pooled(own.map(|(_, score)| score))));
                }
                Event::RunStarted { .. }
                | Event::Checkpoint { .. }
                | Event::Interrupted { .. }
                | Event::RunFinished { .. } => {}
            }
        }
        Ok(history)
    }

    /// The shares in the first and in the last tenth of the steps, and whether the second is
    /// higher.
    fn risen(&self, count: impl Fn(&StepFacts) -> (u32, u32)) -> Option<Rise> {
        let size = self.steps.len().div_ceil(10);
        let share = |steps: &[StepFacts]| {
            let (some, all) = steps.iter().map(&count).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            FamilyScore::new(some, all)
        };
        let (first, last) =
            (share(self.steps.get(..size)?), share(self.steps.get(self.steps.len() - size..)?));
        (last.n > 0).then_some(Rise { first, last, fired: last.low > first.high })
    }

    /// Programs that pass the visible examples and fail the hidden tests, as a share of those
    /// that pass the visible ones.
    fn visible_only(&self) -> Option<Rise> {
        self.steps.iter().any(|s| s.visible.is_some()).then_some(())?;
        self.risen(|s| s.visible.map_or((0, 0), |(passed, only)| (only, passed)))
    }

    /// Completions that no program could be read from; also fires where that is most of them.
    fn unreadable(&self) -> Option<Rise> {
        let rise = self.risen(|s| (s.unreadable, s.completions))?;
        Some(Rise { fired: rise.fired || rise.last.low > 0.5, ..rise })
    }

    /// Whether the test curve went up long after the training curve: it took more than twice as
    /// many steps, and when training was up it was still below where it ended, intervals apart.
    fn delayed(&self) -> Option<Delay> {
        let means: Vec<f64> = self
            .steps
            .windows(WINDOW)
            .map(|w| w.iter().map(|s| s.solve_rate).sum::<f64>() / WINDOW as f64)
            .collect();
        let highest = means.iter().copied().fold(0.0, f64::max);
        let trained = (means.iter().position(|m| *m >= UP * highest)? + WINDOW) as u64;
        let best = self.tests.iter().map(|(_, s)| s.rate()).fold(0.0, f64::max);
        let (tested, _) = *self.tests.iter().find(|(_, s)| s.rate() >= UP * best)?;
        let (_, last) = self.tests.last()?;
        // The measurements before and after the run alone are no curve.
        let then = self.tests.iter().find(|(step, _)| *step >= trained)?;
        let seen = self.tests.len() > 2;
        let fired = seen && highest > 0.0 && tested > 2 * trained && then.1.high < last.low;
        seen.then_some(Delay { trained, tested, fired })
    }
}

fn is_unreadable(verdict: &str) -> bool {
    UNREADABLE.iter().any(|v| v.name() == verdict)
}

fn pooled<'a>(scores: impl Iterator<Item = &'a FamilyScore>) -> FamilyScore {
    let (passed, n) = scores.fold((0, 0), |(p, n), score| (p + score.passed, n + score.n));
    FamilyScore::new(passed, n)
}

/// A share at the beginning and at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rise {
    first: FamilyScore,
    last: FamilyScore,
    fired: bool,
}

impl Rise {
    fn json(&self) -> Value {
        json!({ "first": self.first, "last": self.last, "fired": self.fired })
    }
}

/// The steps after which training and testing were up.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Delay {
    trained: u64,
    tested: u64,
    fired: bool,
}

/// Scores of some families before and after a run.
type Change = (FamilyScore, FamilyScore);

/// How much more the related families rose than the control families, with its 95 % interval:
/// each share with one success and one failure added (Agresti and Caffo 2000), variances added.
fn transfer(related: Change, control: Change) -> (f64, f64, f64) {
    let share = |s: FamilyScore| {
        let n = f64::from(s.n) + 2.0;
        let p = (f64::from(s.passed) + 1.0) / n;
        (p, p * (1.0 - p) / n)
    };
    let [b, a, cb, ca] = [related.0, related.1, control.0, control.1].map(share);
    let difference = (a.0 - b.0) - (ca.0 - cb.0);
    let half = Z * (a.1 + b.1 + ca.1 + cb.1).sqrt();
    (difference, difference - half, difference + half)
}

/// What all detectors found, for `summary.json`.
pub(crate) fn report(
    history: &History,
    (before, after): (&Scores, &Scores),
    (related, control): (&[String], &[String]),
) -> Value {
    let change = |names: &[String]| -> Change {
        let of = |scores: &Scores| {
            pooled(names.iter().filter_map(|name| {
                scores.elsewhere.get(name).or_else(|| scores.families.get(name))
            }))
        };
        (of(before), of(after))
    };
    let transferred = (!related.is_empty()).then(|| {
        let (difference, low, high) = transfer(change(related), change(control));
        json!({ "difference": difference, "low": low, "high": high, "fired": low > 0.0 })
    });
    let delayed = history
        .delayed()
        .map(|d| json!({ "trained_step": d.trained, "tested_step": d.tested, "fired": d.fired }));
    json!({
        "visible_only": history.visible_only().map(|rise| rise.json()),
        "format_failures": history.unreadable().map(|rise| rise.json()),
        "format_failures_test": { "before": before.unreadable, "after": after.unreadable },
        "delayed_generalisation": delayed,
        "transfer": transferred,
    })
}

/// What fired, for people.
pub(crate) fn alarms(report: &Value) -> String {
    let texts = [
        ("visible_only", "more programs pass the visible examples and fail the hidden tests"),
        ("format_failures", "many completions hold no program that can be read"),
        ("delayed_generalisation", "held-out tasks were solved long after those of training"),
        ("transfer", "families that were not trained rose more than the control families"),
    ];
    let fired = texts.iter().filter(|(name, _)| report[*name]["fired"] == true);
    fired.map(|(name, text)| format!("detected: {text} (`{name}` in summary.json)\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(rates: &[f64], tests: &[(u64, u32)]) -> History {
        let step = |solve_rate: &f64| StepFacts { solve_rate: *solve_rate, ..<_>::default() };
        let test = |(step, passed): &(u64, u32)| (*step, FamilyScore::new(*passed, 100));
        History { steps: rates.iter().map(step).collect(), tests: tests.iter().map(test).collect() }
    }

    #[test]
    fn generalisation_is_delayed_where_tests_lag_far_behind_training() {
        let late: Vec<f64> = (0..100).map(|i| if i < 10 { 0.1 } else { 0.9 }).collect();
        // The first window that is nearly all high ends at step 20.
        type Case<'a> = (&'a [(u64, u32)], Option<bool>);
        let cases: [Case<'_>; 5] = [
            (&[(0, 5), (20, 10), (60, 15), (80, 90), (100, 92)], Some(true)),
            (&[(0, 5), (20, 85), (60, 90), (80, 90), (100, 92)], Some(false)),
            (&[(0, 5), (20, 10), (38, 90), (80, 90), (100, 92)], Some(false)),
            (&[(0, 5), (20, 80), (60, 82), (80, 86), (100, 92)], Some(false)),
            (&[(0, 5), (100, 92)], None),
        ];
        for (tests, fired) in cases {
            let found = history(&late, tests).delayed();
            assert_eq!(found.map(|d| d.fired), fired, "{tests:?}: {found:?}");
        }
        assert_eq!(
            history(&late, cases[0].0).delayed().map(|d| (d.trained, d.tested)),
            Some((19, 80))
        );
        // A slow line upwards is learnt as fast as it is tested.
        let line: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let tests: Vec<(u64, u32)> = (0..=10).map(|i| (10 * i, 10 * i as u32)).collect();
        assert_eq!(history(&line, &tests).delayed().map(|d| d.fired), Some(false));
        assert_eq!(history(&[0.0; 5], &tests).delayed(), None);
    }

    #[test]
    fn a_rise_is_the_last_tenth_above_the_first() {
        let with = |first: (u32, u32), last: (u32, u32)| {
            let step = |visible| StepFacts { visible: Some(visible), ..<_>::default() };
            let steps = (0..20).map(|i| step(if i < 10 { first } else { last }));
            History { steps: steps.collect(), ..History::default() }.visible_only()
        };
        assert!(with((100, 5), (100, 60)).is_some_and(|r| r.fired));
        assert!(with((100, 60), (100, 60)).is_some_and(|r| !r.fired));
        assert!(with((100, 60), (100, 5)).is_some_and(|r| !r.fired));
        assert_eq!(with((100, 5), (100, 60)).map(|r| (r.first.n, r.last.passed)), Some((200, 120)));
        assert_eq!(history(&[0.5; 20], &[]).visible_only(), None);
    }

    #[test]
    fn unreadable_completions_are_told_from_wrong_ones() {
        let names = Verdict::ALL.map(|v| (v.name(), is_unreadable(v.name())));
        let unreadable: Vec<&str> = names.iter().filter(|n| n.1).map(|n| n.0).collect();
        assert_eq!(unreadable, [Verdict::CompileError.name(), Verdict::NoProgram.name()]);
        let step = StepFacts { completions: 10, unreadable: 9, ..<_>::default() };
        let always = History { steps: vec![step; 10], ..History::default() };
        assert!(always.unreadable().is_some_and(|r| r.fired));
    }

    #[test]
    fn transfer_is_a_rise_beyond_that_of_the_control() {
        let of = |before, after| (FamilyScore::new(before, 100), FamilyScore::new(after, 100));
        let (difference, low, _) = transfer(of(10, 70), of(10, 12));
        assert!((difference - 58.0 / 102.0).abs() < 1e-12 && low > 0.0);
        // Everything rose alike: the run did not transfer one to the other.
        assert!(transfer(of(10, 70), of(10, 70)).1 < 0.0);
        // By hand: p 1/2 in all four, so the half width is 1.96 sqrt(4 * 0.25 / 102).
        let (difference, low, high) = transfer(of(50, 50), of(50, 50));
        assert!(difference.abs() < 1e-12);
        assert!((high - low - 2.0 * 1.96 * (1.0_f64 / 102.0).sqrt()).abs() < 1e-12);
    }
}
