//! The live parts of a run: what a recipe was made into.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use generate::{Completion, Request, Sampling};
use learn::{Learner, OptimizerSpec, Threads};
use runlog::{Event, EventWriter, LockedRun, RunFolder, Timing};
use tasks::{Curriculum, Task, TaskId};
use verify::{Verifier, VerifierConfig};

use crate::{
    families,
    groups::{self, Answered, Group},
    policy::Policy,
    progress::Progress,
    recipe::Recipe,
    replay::Replay,
    seed::Seed,
    state::{State, Totals},
};

/// What the user chose besides the recipe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) threads: usize,
    pub(crate) allow_unsafe: bool,
    /// Whether no socket may be opened.
    pub(crate) offline: bool,
    pub(crate) progress: Progress,
}

/// The live parts.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) recipe: Recipe,
    pub(crate) seed: Seed,
    pub(crate) policy: Policy,
    pub(crate) learner: Learner,
    pub(crate) curriculum: Curriculum,
    pub(crate) replay: Replay,
    pub(crate) verifier: Verifier,
    pub(crate) log: EventWriter,
    pub(crate) totals: Totals,
    pub(crate) machine: Machine,
    pub(crate) next_step: u64,
    run: LockedRun,
    stop: Arc<AtomicBool>,
}

/// Starts the sandbox, or says which wall is missing.
pub(crate) fn start_verifier(machine: &Machine) -> Result<Verifier> {
    let config =
        VerifierConfig { slots: machine.threads, python: None, allow_unsafe: machine.allow_unsafe };
    Verifier::start(config).context("the sandbox cannot start")
}

impl Rig {
    /// A fresh run of `recipe` in `out`, which must not hold one.
    pub(crate) fn create(recipe: Recipe, out: &Path, machine: Machine) -> Result<Self> {
        let verifier = start_verifier(&machine)?;
        let policy = recipe.policy(machine.offline)?;
        families::parse(&recipe.tasks.families)?;
        let run = RunFolder::at(out).create()?;
        let log = run.begin(&recipe.to_toml()?)?;
        let mut rig = Self::assemble(recipe, policy, verifier, (run, log), machine)?;
        rig.log_start()?;
        Ok(rig)
    }

    /// The run in `dir`, from its newest checkpoint.
    pub(crate) fn resume(dir: &Path, machine: Machine) -> Result<Self> {
        let folder = RunFolder::at(dir);
        let text = std::fs::read_to_string(folder.recipe())
            .with_context(|| format!("{} is not the folder of a run", dir.display()))?;
        let recipe = Recipe::resolve(&text, &[])?;
        if folder.summary().exists() {
            bail!(
                "the run in {} is finished; its model is in {}",
                dir.display(),
                folder.model().display()
            );
        }
        let verifier = start_verifier(&machine)?;
        let policy = recipe.policy(machine.offline)?;
        let run = folder.resume()?;
        let Some(checkpoint) = run.folder().latest_checkpoint()? else {
            let log = run.rewind(0, 0)?;
            let mut rig = Self::assemble(recipe, policy, verifier, (run, log), machine)?;
            rig.log_start()?;
            return Ok(rig);
        };
        let state = State::load(&checkpoint.path)?;
        let log = run.rewind(checkpoint.step, state.log_position)?;
        let mut rig = Self::assemble(recipe, policy, verifier, (run, log), machine)?;
        state.put_into(&mut rig, &checkpoint.path)?;
        Ok(rig)
    }

    fn assemble(
        recipe: Recipe,
        policy: Policy,
        verifier: Verifier,
        (run, log): (LockedRun, EventWriter),
        machine: Machine,
    ) -> Result<Self> {
        let optimizer = OptimizerSpec {
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-8,
            weight_decay: recipe.learn.weight_decay,
            grad_norm_max: recipe.learn.grad_norm_max,
        };
        let t = &recipe.tasks;
        let names = families::parse(&t.families)?;
        let difficulty = (t.difficulty_min, t.difficulty_max);
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The second signal ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            seed: Seed(recipe.seed),
            learner: Learner::new(optimizer, policy.model.layout.len()),
            curriculum: Curriculum::new(&names, difficulty, t.replay_share, t.rate_memory),
            replay: Replay::default(),
            totals: Totals::default(),
            next_step: 0,
            recipe,
            policy,
            verifier,
            log,
            machine,
            run,
            stop,
        })
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        self.run.folder()
    }

    pub(crate) fn threads(&self) -> Threads {
        Threads(self.machine.threads)
    }

    /// Whether the user asked the run to stop.
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The tasks of a step.
    pub(crate) fn draw_tasks(&self, seed: Seed) -> Result<Vec<Task>> {
        let ids =
            self.curriculum.sample(self.recipe.tasks.per_step, &mut seed.child("tasks", 0).rng());
        ids.iter().map(|id| Ok(Task::build(id)?)).collect()
    }

    /// A group of completions for each task, with the program in each.
    pub(crate) fn generate(&self, tasks: Vec<Task>, seed: Seed) -> Result<Vec<Answered>> {
        let sampling = Sampling {
            temperature: self.recipe.sampling.temperature,
            completion_tokens_max: self.recipe.sampling.completion_tokens_max,
            eos: self.policy.eos.clone(),
        };
        let seeds = |i: usize| {
            let task = seed.child("task", i as u64);
            (0..self.recipe.tasks.group_size as u64).map(|s| task.child("sample", s).0).collect()
        };
        answer(&self.policy, tasks, seeds, &sampling, self.machine.threads)
    }

    /// Verdicts and rewards for the completions of a step.
    pub(crate) fn verify(&self, answered: Vec<Answered>, seed: Seed) -> Result<Vec<Group>> {
        let mut groups = groups::judge(answered, self.recipe.reward(), &self.verifier)?;
        if self.recipe.reward.shuffle {
            groups::shuffle_rewards(&mut groups, seed.child("shuffle", 0));
        }
        Ok(groups)
    }

    /// Saves everything the run needs to go on from `step`.
    pub(crate) fn checkpoint(&mut self, step: u64) -> Result<()> {
        let path = RunFolder::checkpoint_relative(step);
        self.log.append(&Event::Checkpoint { step, path })?;
        self.save(step)
    }

    /// Saves where the user stopped the run, between two steps of the schedule. The log's
    /// position in it lies before the event that says so: a resumed run does not show it.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        let step = self.next_step;
        if self.run.folder().latest_checkpoint()?.is_none_or(|c| c.step < step) {
            self.save(step)?;
        }
        self.log.append(&Event::Interrupted { step })?;
        Ok(self.log.sync()?)
    }

    fn save(&mut self, step: u64) -> Result<()> {
        self.log.sync()?;
        let pending = self.run.begin_checkpoint(step)?;
        State::of(self).save(self, pending.path())?;
        pending.commit()?;
        self.run.keep_last_checkpoints(self.recipe.checkpoint.keep)?;
        Ok(())
    }

    /// Writes the final model and the summary, and closes the log.
    pub(crate) fn finish(&mut self, summary: &str) -> Result<PathBuf> {
        let pending = self.run.begin_model()?;
        self.policy.save(pending.path(), self.recipe.model.save_dtype.dtype())?;
        let model = pending.commit_replacing()?;
        self.log.append(&Event::RunFinished { step: self.recipe.steps })?;
        self.log.sync()?;
        self.run.write_summary(summary)?;
        Ok(model)
    }

    fn log_start(&mut self) -> Result<()> {
        let facts = self.verifier.facts();
        let facts = serde_json::json!({
            "parameters": self.policy.model.n_weights(),
            "parameters_trained": self.policy.model.layout.len(),
            "sandbox": facts.tier.name(),
            "python": facts.python.version,
        });
        self.log.append(&Event::RunStarted {
            version: runlog::VERSION,
            recipe: self.recipe.name.clone(),
            seed: self.recipe.seed,
            facts,
        })?;
        Ok(self.log.flush()?)
    }
}

/// Completions of `tasks`, `seeds(i)` naming the draws for the i-th.
pub(crate) fn answer(
    policy: &Policy,
    tasks: Vec<Task>,
    seeds: impl Fn(usize) -> Vec<u64>,
    sampling: &Sampling,
    threads: usize,
) -> Result<Vec<Answered>> {
    let mut requests = Vec::with_capacity(tasks.len());
    for (i, task) in tasks.iter().enumerate() {
        let prompt = policy.prompt(task)?;
        requests.push(Request { prompt, seeds: seeds(i) });
    }
    let completions = generate::generate(&policy.model, &requests, sampling, threads)?;
    let mut answered = Vec::with_capacity(tasks.len());
    for ((task, request), completions) in tasks.into_iter().zip(requests).zip(completions) {
        let program = |c: Completion| policy.program(&task, &c.tokens).map(|text| (c, text));
        let programs: Result<Vec<(Completion, String)>> =
            completions.into_iter().map(program).collect();
        answered.push((task, request.prompt, programs?));
    }
    Ok(answered)
}

/// Tasks of one family, for measuring.
pub(crate) fn bank(family: &str, recipe: &crate::recipe::EvalRecipe) -> Result<Vec<Task>> {
    let split = recipe.split.parse()?;
    (0..recipe.tasks_per_family)
        .map(|seed| {
            let family = family.to_string();
            Ok(Task::build(&TaskId { family, difficulty: recipe.difficulty, split, seed })?)
        })
        .collect()
}

/// Measures the stages of a step.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    last: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), last: Instant::now() }
    }

    /// Seconds since the last lap.
    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        lap
    }

    /// The stages' seconds, and those of the whole.
    pub(crate) fn timing(&self, generate_s: f64, verify_s: f64, learn_s: f64) -> Timing {
        let wall_s = self.start.elapsed().as_secs_f64();
        Timing { generate_s, verify_s, learn_s, eval_s: 0.0, wall_s }
    }
}
