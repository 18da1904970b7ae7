//! A task: a question with visible examples and hidden tests, rebuilt from its id.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use verify::{Call, Comparator, Limits, Submission, TestCase, Value};

use crate::{
    Algorithm, Rng, Tier,
    composed::{self, Composition},
    families, program, wording,
};

/// Hidden tests of a task.
pub(crate) const HIDDEN_TESTS: usize = 12;
/// More CPU time than the reference of any task needs for its hidden tests: the slowest took 4 ms
/// where this was written. Limits are derived from it once, here, and not measured where a run
/// takes place: the same program must have the same verdict everywhere.
const REFERENCE_CPU: Duration = Duration::from_millis(10);
/// Examples in the prompt.
pub(crate) const VISIBLE_EXAMPLES: usize = 2;

/// Which share of all tasks a task belongs to. Splits never share a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// The corpus of the embedded model.
    Pretrain,
    /// What runs practise on.
    Train,
    /// What runs are tuned on.
    Validation,
    /// What results are reported on.
    Test,
}

impl Split {
    /// The name used in task ids and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Whether statements of this class (see `wording::class`) belong to the split.
    pub(crate) fn owns(self, class: u8) -> bool {
        match self {
            Self::Test => class < 3,
            Self::Validation => (3..5).contains(&class),
            Self::Train | Self::Pretrain => class >= 5,
        }
    }
}

impl FromStr for Split {
    type Err = TasksError;

    fn from_str(s: &str) -> Result<Self, TasksError> {
        [Self::Pretrain, Self::Train, Self::Validation, Self::Test]
            .into_iter()
            .find(|split| split.name() == s)
            .ok_or_else(|| TasksError::Id(format!("unknown split `{s}`")))
    }
}

/// The identity of a task: everything needed to build it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The family's name.
    pub family: String,
    /// 1 to 10.
    pub difficulty: u8,
    /// The share of tasks it belongs to.
    pub split: Split,
    /// Which task of that family, difficulty and split.
    pub seed: u64,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.family, self.difficulty, self.split.name(), self.seed)
    }
}

impl FromStr for TaskId {
    type Err = TasksError;

    fn from_str(s: &str) -> Result<Self, TasksError> {
        let bad = || TasksError::Id(format!("`{s}` is not FAMILY/DIFFICULTY/SPLIT/SEED"));
        let mut parts = s.split('/');
        let mut next = || parts.next().ok_or_else(bad);
        let (family, difficulty, split, seed) = (next()?, next()?, next()?, next()?);
        let id = Self {
            family: family.to_string(),
            difficulty: difficulty.parse().map_err(|_| bad())?,
            split: split.parse()?,
            seed: seed.parse().map_err(|_| bad())?,
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(id)
    }
}

/// What can be wrong with a request for a task.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The id does not parse.
    #[error("bad task id: {0}")]
    Id(String),
    /// No such family.
    #[error("unknown family `{name}`; `axiom tasks list` shows them")]
    Family {
        /// The name asked for.
        name: String,
    },
    /// Difficulty out of range.
    #[error("difficulty {0} is not between 1 and 10")]
    Difficulty(u8),
}

/// Where a task comes from: enough to write programs for it.
#[derive(Clone)]
pub enum Source {
    /// A family about one algorithm, in one of its variants.
    Algorithm {
        /// The family.
        family: &'static dyn Algorithm,
        /// The index of the variant.
        variant: usize,
    },
    /// A composition of primitives.
    Composed(Composition),
    /// Someone's question: nothing is known of it but its examples.
    Given,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm { family, variant } => write!(f, "{}#{variant}", family.name()),
            Self::Composed(composition) => write!(f, "{composition:?}"),
            Self::Given => write!(f, "given"),
        }
    }
}

/// A question with its hidden tests.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its identity.
    pub id: TaskId,
    /// Where it comes from.
    pub source: Source,
    /// The question in words, parameters named.
    pub statement: String,
    /// The function to write.
    pub entry_point: String,
    /// Its parameters.
    pub params: Vec<String>,
    /// Shown in the prompt; never among the hidden tests.
    pub examples: Vec<TestCase>,
    /// The hidden tests.
    pub tests: Arc<[TestCase]>,
    /// When a returned value counts as right.
    pub comparator: Comparator,
}

impl Task {
    /// Builds the task with this identity.
    ///
    /// # Errors
    /// If the family does not exist or the difficulty is out of range.
    pub fn build(id: &TaskId) -> Result<Self, TasksError> {
        let (mut task, mut rng) = Self::asked(id)?;
        task.tests = task.hidden(&mut rng).into();
        Ok(task)
    }

    /// The same task without its hidden tests: enough for a prompt, and much cheaper.
    ///
    /// # Errors
    /// As [`Task::build`].
    pub fn question(id: &TaskId) -> Result<Self, TasksError> {
        Self::asked(id).map(|(task, _)| task)
    }

    /// A question in words, with examples and no hidden tests.
    pub fn given(
        statement: &str,
        entry_point: &str,
        params: Vec<String>,
        examples: Vec<TestCase>,
    ) -> Self {
        let (family, split) = ("given".to_string(), Split::Train);
        Self {
            id: TaskId { family, difficulty: 1, split, seed: 0 },
            source: Source::Given,
            statement: statement.to_string(),
            entry_point: entry_point.to_string(),
            params,
            examples,
            tests: [].into(),
            comparator: Comparator::Exact,
        }
    }

    /// The question, and the generator from which its hidden tests come next.
    fn asked(id: &TaskId) -> Result<(Self, Rng), TasksError> {
        if !(1..=10).contains(&id.difficulty) {
            return Err(TasksError::Difficulty(id.difficulty));
        }
        let mut rng = Rng::from_seed(Sha256::digest(id.to_string()).into());
        if id.family == composed::NAME {
            return Ok((composed::question(id, &mut rng), rng));
        }
        let family = families::by_name(&id.family)
            .ok_or_else(|| TasksError::Family { name: id.family.clone() })?;
        let variant = draw_variant(family, &mut rng);
        Ok((Self::of_algorithm(id, family, variant, &mut rng), rng))
    }

    fn hidden(&self, rng: &mut Rng) -> Vec<TestCase> {
        let difficulty = self.id.difficulty;
        let (family, variant) = match &self.source {
            Source::Composed(c) => return composed::hidden(c, difficulty, &self.examples, rng),
            Source::Algorithm { family, variant } => (*family, *variant),
            Source::Given => return Vec::new(),
        };
        let shown: Vec<Vec<Value>> = self.examples.iter().map(|e| e.args.clone()).collect();
        let probes = family.probes(variant, difficulty, rng);
        distinct(&shown, HIDDEN_TESTS, probes, || family.inputs(variant, difficulty, rng))
            .into_iter()
            .map(|args| answered(family, variant, args))
            .collect()
    }

    /// What the curriculum counts it under: the family, and its variant where it has some.
    pub fn topic(&self) -> String {
        match &self.source {
            Source::Algorithm { family, variant } => format!("{}#{variant}", family.name()),
            Source::Composed(_) => composed::NAME.to_string(),
            Source::Given => self.id.family.clone(),
        }
    }

    /// The group this task is reported with.
    pub fn tier(&self) -> Tier {
        match &self.source {
            Source::Algorithm { family, .. } => family.tier(),
            Source::Composed(_) | Source::Given => Tier::Composed,
        }
    }

    /// What a program may use: ten times what the slowest reference needs, and more.
    pub fn limits() -> Limits {
        Limits::default().for_reference(REFERENCE_CPU)
    }

    /// A program that is right.
    pub fn reference(&self) -> String {
        let body = match &self.source {
            Source::Composed(c) => composed::reference(c, &self.params.join(", ")),
            Source::Algorithm { family, variant } => {
                let sketch = family.sketches().first();
                sketch.map(|s| s.reference(*variant, &self.params)).unwrap_or_default()
            }
            Source::Given => String::new(),
        };
        program(self, &body)
    }

    /// A submission of `program` against the hidden tests.
    pub fn submission(&self, program: String, stop_at_first_failure: bool) -> Submission {
        Submission {
            program,
            entry_point: self.entry_point.clone(),
            tests: Arc::clone(&self.tests),
            comparator: self.comparator.clone(),
            limits: Self::limits(),
            stop_at_first_failure,
            call: Call::default(),
        }
    }

    /// A submission of `program` against the visible examples alone.
    pub fn visible(&self, program: String) -> Submission {
        Submission { tests: self.examples.clone().into(), ..self.submission(program, true) }
    }

    fn of_algorithm(
        id: &TaskId,
        family: &'static dyn Algorithm,
        variant: usize,
        rng: &mut Rng,
    ) -> Self {
        let names = family.params();
        let params: Vec<String> =
            names[rng.random_range(0..names.len())].iter().map(ToString::to_string).collect();
        let wordings = family.variants()[variant].wordings;
        let statement = wording::name_params(&wording::draw(wordings, id.split, rng), &params);
        let examples: Vec<TestCase> =
            distinct(&[], VISIBLE_EXAMPLES, Vec::new(), || family.example(variant, rng))
                .into_iter()
                .map(|args| answered(family, variant, args))
                .collect();
        Self {
            id: id.clone(),
            source: Source::Algorithm { family, variant },
            statement,
            entry_point: family.name().to_string(),
            params,
            examples,
            tests: [].into(),
            comparator: family.comparator(),
        }
    }
}

fn draw_variant(family: &dyn Algorithm, rng: &mut Rng) -> usize {
    let variants = family.variants();
    let mut at = rng.random_range(0..variants.iter().map(|v| v.share).sum::<u32>());
    for (i, variant) in variants.iter().enumerate() {
        if at < variant.share {
            return i;
        }
        at -= variant.share;
    }
    unreachable!("the draw is below the total share")
}

/// `first`, then draws, without repetition and without what is `shown`; at most `n`, or fewer
/// where the family has no more.
pub(crate) fn distinct(
    shown: &[Vec<Value>],
    n: usize,
    first: Vec<Vec<Value>>,
    mut draw: impl FnMut() -> Vec<Value>,
) -> Vec<Vec<Value>> {
    let mut kept: Vec<Vec<Value>> = Vec::with_capacity(n);
    for args in first {
        if !shown.contains(&args) && !kept.contains(&args) {
            kept.push(args);
        }
    }
    for _ in 0..20 * n {
        if kept.len() >= n {
            break;
        }
        let args = draw();
        if !shown.contains(&args) && !kept.contains(&args) {
            kept.push(args);
        }
    }
    kept
}

fn answered(family: &dyn Algorithm, variant: usize, args: Vec<Value>) -> TestCase {
    let expected = family.solve(variant, &args);
    TestCase { args, expected }
}
