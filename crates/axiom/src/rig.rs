//! The live parts of a run: what a recipe was made into.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use generate::{Completion, Request, Sampling};
use learn::{
    Batch, Ema, Learner, OptimizerSpec, Pair, PairReport, Score, StepReport, Threads, ValueHead,
    objective::Objective, preference::Preference,
};
use runlog::{Event, EventWriter, LockedRun, RunFolder};
use tasks::{Curriculum, Task};
use verify::Verifier;

use crate::{
    ask,
    data::Data,
    groups::{self, Answered, Group},
    machine::Machine,
    method::Method,
    policy::Policy,
    recipe::{Recipe, RewardSource},
    replay::Replay,
    seed::Seed,
    selfplay::Buffers,
    state::{State, Totals},
    vote,
};

/// The live parts.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) recipe: Recipe,
    pub(crate) method: Method,
    pub(crate) seed: Seed,
    pub(crate) policy: Policy,
    pub(crate) learner: Learner,
    pub(crate) copies: Copies,
    pub(crate) curriculum: Curriculum,
    pub(crate) replay: Replay,
    /// The puzzles of self-play; empty in other runs.
    pub(crate) buffers: Buffers,
    /// What is imitated, where that is given.
    pub(crate) data: Option<Data>,
    pub(crate) verifier: Verifier,
    pub(crate) log: EventWriter,
    pub(crate) totals: Totals,
    pub(crate) machine: Machine,
    pub(crate) next_step: u64,
    run: LockedRun,
    stop: Arc<AtomicBool>,
}

/// What a run is assembled from, before it has a folder.
struct Parts {
    policy: Policy,
    verifier: Verifier,
    data: Option<Data>,
}

impl Parts {
    fn of(recipe: &Recipe, machine: &Machine) -> Result<Self> {
        let verifier = machine.start_verifier()?;
        let policy = recipe.policy(machine.offline)?;
        let data = match recipe.data.path.as_str() {
            "" => None,
            path => Some(Data::read(Path::new(path), &policy)?),
        };
        Ok(Self { policy, verifier, data })
    }
}

/// Other weights than the policy's that a method needs.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// What KL terms and preferences compare with, and imitation restarts from.
    pub(crate) reference: Option<Vec<f32>>,
    /// The momentum policy of M-GRPO.
    pub(crate) slow: Option<Ema>,
}

impl Rig {
    /// A fresh run of `recipe` in `out`, which must not hold one.
    pub(crate) fn create(recipe: Recipe, out: &Path, machine: Machine) -> Result<Self> {
        let parts = Parts::of(&recipe, &machine)?;
        let replay = cold_start(&recipe, &parts.policy)?;
        let run = RunFolder::at(out).create()?;
        let log = run.begin(&recipe.to_toml()?)?;
        let mut rig = Self::assemble(recipe, parts, (run, log), machine)?;
        rig.replay = replay;
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
        let parts = Parts::of(&recipe, &machine)?;
        let run = folder.resume()?;
        let Some(checkpoint) = run.folder().latest_checkpoint()? else {
            let replay = cold_start(&recipe, &parts.policy)?;
            let log = run.rewind(0, 0)?;
            let mut rig = Self::assemble(recipe, parts, (run, log), machine)?;
            rig.replay = replay;
            rig.log_start()?;
            return Ok(rig);
        };
        let state = State::load(&checkpoint.path)?;
        let log = run.rewind(checkpoint.step, state.log_position)?;
        let mut rig = Self::assemble(recipe, parts, (run, log), machine)?;
        state.put_into(&mut rig, &checkpoint.path)?;
        Ok(rig)
    }

    fn assemble(
        recipe: Recipe,
        Parts { policy, verifier, data }: Parts,
        (run, log): (LockedRun, EventWriter),
        machine: Machine,
    ) -> Result<Self> {
        let method = Method::of(&recipe)?;
        let params = policy.model.params();
        let copies = Copies {
            reference: method.needs_reference().then(|| params.to_vec()),
            slow: (recipe.slow.share > 0.0).then(|| Ema::new(params)),
        };
        let mut learner = learner(&recipe, params.len());
        if method.needs_values() {
            let head = ValueHead::new(policy.model.config.hidden_size);
            learner = learner.with_value_head(head, recipe.learn.value_lr_factor);
        }
        let curriculum = recipe.tasks.curriculum()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The second signal ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self {
            seed: Seed(recipe.seed),
            method,
            learner,
            copies,
            curriculum,
            replay: Replay::default(),
            buffers: Buffers::default(),
            data,
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

    /// Whether there is nothing left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.next_step >= self.recipe.steps || self.recipe.budget.spent(&self.totals) >= 1.0
    }

    /// The tasks of a step.
    pub(crate) fn draw_tasks(&self, seed: Seed) -> Result<Vec<Task>> {
        let ids =
            self.curriculum.sample(self.recipe.tasks.per_step, &mut seed.child("tasks", 0).rng());
        ids.iter().map(|id| Ok(Task::build(id)?)).collect()
    }

    /// A group of completions for each task, with the program in each. The last of them come
    /// from the slow copy, if there is one.
    pub(crate) fn generate(&mut self, tasks: Vec<Task>, seed: Seed) -> Result<Vec<Answered>> {
        let (n, n_own) = (self.recipe.tasks.group_size as u64, self.n_own() as u64);
        let mut answered = self.answer(tasks.clone(), seed, 0..n_own)?;
        let Some(slow) = self.copies.slow.take().filter(|_| n_own < n) else {
            return Ok(answered);
        };
        let found = self.under(slow.weights(), |rig| rig.answer(tasks, seed, n_own..n));
        self.copies.slow = Some(slow);
        for (group, more) in answered.iter_mut().zip(found?) {
            group.2.extend(more.2);
        }
        Ok(answered)
    }

    /// How many completions of a group are the policy's own, and not the slow copy's.
    pub(crate) fn n_own(&self) -> usize {
        let n = self.recipe.tasks.group_size;
        n - (n as f64 * self.recipe.slow.share).round() as usize
    }

    /// Completions of prompts, from the current weights.
    pub(crate) fn complete(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>> {
        let (model, threads) = (&self.policy.model, self.machine.threads);
        Ok(generate::generate(model, requests, &self.sampling(), threads)?)
    }

    /// Completions number `samples` of each task, from the current weights.
    fn answer(&self, tasks: Vec<Task>, seed: Seed, samples: Range<u64>) -> Result<Vec<Answered>> {
        let seeds = |i: usize| {
            let task = seed.child("task", i as u64);
            samples.clone().map(|s| task.child("sample", s).0).collect()
        };
        ask::answer(&self.policy, tasks, seeds, &self.sampling(), self.machine.threads)
    }

    /// How completions are drawn.
    pub(crate) fn sampling(&self) -> Sampling {
        let s = &self.recipe.sampling;
        self.policy.sampling(s.temperature, s.completion_tokens_max, s.filter())
    }

    /// Whether a completion of this prompt has room in the model.
    pub(crate) fn fits(&self, prompt: &[u32]) -> bool {
        let n = prompt.len() + self.recipe.sampling.completion_tokens_max;
        n <= self.policy.model.config.max_position_embeddings
    }

    /// Verdicts and rewards for the completions of a step.
    pub(crate) fn verify(&mut self, answered: Vec<Answered>, seed: Seed) -> Result<Vec<Group>> {
        let mut groups = groups::judge(answered, self.recipe.reward(), &self.verifier)?;
        if self.recipe.reward.entropy_filter > 0.0 {
            vote::filter(self, &mut groups)?;
        }
        if self.recipe.reward.source == RewardSource::Vote {
            vote::reward(self, &mut groups)?;
        }
        let (max, cache) =
            (self.recipe.sampling.completion_tokens_max, self.recipe.reward.overlong_cache);
        if cache > 0 {
            groups::shape_overlong(&mut groups, max, cache);
        }
        if self.recipe.reward.shuffle {
            groups::shuffle_rewards(&mut groups, seed.child("shuffle", 0));
        }
        Ok(groups)
    }

    /// DAPO's dynamic sampling: as long as groups are missing that teach something, more tasks
    /// are asked, a few times at most.
    pub(crate) fn refill(&mut self, groups: &mut Vec<Group>, seed: Seed) -> Result<()> {
        for round in 0..self.recipe.tasks.resample_max {
            if groups.iter().filter(|g| !g.is_silent()).count() >= self.recipe.tasks.per_step {
                break;
            }
            let seed = seed.child("refill", round);
            let answered = self.generate(self.draw_tasks(seed)?, seed)?;
            groups.extend(self.verify(answered, seed)?);
        }
        Ok(())
    }

    /// Tells the curriculum what was solved.
    pub(crate) fn observe(&mut self, groups: &[Group]) {
        for group in groups {
            self.curriculum.observe(&group.task.topic(), group.success());
        }
        self.curriculum.end_step(self.next_step + 1);
    }

    /// Calls `work` with other weights in the policy's place.
    fn under<T>(&mut self, weights: &[f32], work: impl FnOnce(&mut Self) -> T) -> T {
        let kept = self.policy.model.params().to_vec();
        self.set_weights(weights);
        let result = work(self);
        self.set_weights(&kept);
        result
    }

    fn set_weights(&mut self, weights: &[f32]) {
        let threads = self.machine.threads;
        self.policy.model.update(threads, |params| params.copy_from_slice(weights));
    }

    /// What the policy says of a batch.
    pub(crate) fn score(&mut self, batch: &Batch) -> Result<Vec<Score>> {
        let (temperature, threads) = (self.temperature(), self.threads());
        Ok(self.learner.score(&self.policy.model, batch, temperature, threads)?)
    }

    /// What the slow copy says of a batch; nothing where there is none.
    pub(crate) fn score_slow(&mut self, batch: &Batch) -> Result<Vec<Score>> {
        let Some(slow) = self.copies.slow.take() else { return Ok(Vec::new()) };
        let scores = self.under(slow.weights(), |rig| rig.score(batch));
        self.copies.slow = Some(slow);
        scores
    }

    /// What the reference says of a batch.
    pub(crate) fn score_reference(&mut self, batch: &Batch) -> Result<Vec<Score>> {
        let reference = self.copies.reference.take().context("the method has no reference")?;
        let scores = self.under(&reference, |rig| rig.score(batch));
        self.copies.reference = Some(reference);
        scores
    }

    /// One update of the policy.
    pub(crate) fn step(&mut self, batch: &Batch, objective: &Objective) -> Result<StepReport> {
        let (at, threads) = ((self.learning_rate(), self.temperature()), self.threads());
        Ok(self.learner.step(&mut self.policy.model, batch, objective, at, threads)?)
    }

    /// One update of the policy, from pairs.
    pub(crate) fn step_pairs(&mut self, pairs: &[Pair], spec: &Preference) -> Result<PairReport> {
        let (at, threads) = ((self.learning_rate(), self.temperature()), self.threads());
        Ok(self.learner.step_pairs(&mut self.policy.model, pairs, spec, at, threads)?)
    }

    /// The learning rate of the step being taken.
    pub(crate) fn learning_rate(&self) -> f64 {
        self.recipe.learning_rate(self.next_step, self.recipe.budget.spent(&self.totals))
    }

    /// At which log-probs are taken: where they are compared with those of the sampler, as it
    /// sampled.
    fn temperature(&self) -> f32 {
        match self.method {
            Method::Imitation { .. } | Method::Given => 1.0,
            Method::Rewards(_) | Method::Pairs(_) => self.recipe.sampling.temperature,
        }
    }

    /// Puts back the critic of a checkpoint, beside the optimizer's state.
    pub(crate) fn put_value_head(&mut self, head: ValueHead) {
        let (first, second, t) = self.learner.state();
        let (first, second) = (first.to_vec(), second.to_vec());
        let mut learner = learner(&self.recipe, first.len())
            .with_value_head(head, self.recipe.learn.value_lr_factor);
        learner.restore(first, second, t);
        self.learner = learner;
    }

    /// The policy and its optimizer go back to where the run began.
    pub(crate) fn restart_policy(&mut self) {
        if let Some(reference) = self.copies.reference.take() {
            self.set_weights(&reference);
            self.learner = learner(&self.recipe, reference.len());
            self.copies.reference = Some(reference);
        }
    }

    /// The slow copies follow the policy, at the end of a step.
    pub(crate) fn move_copies(&mut self) {
        let params = self.policy.model.params();
        if let Some(slow) = &mut self.copies.slow {
            slow.update(params, self.recipe.slow.momentum);
        }
        let l = &self.recipe.learn;
        let due = l.ref_model_sync_steps > 0
            && (self.next_step + 1).is_multiple_of(l.ref_model_sync_steps);
        if let Some(reference) = self.copies.reference.as_mut().filter(|_| due) {
            let alpha = l.ref_model_mixup_alpha as f32;
            for (r, p) in reference.iter_mut().zip(params) {
                *r = alpha * p + (1.0 - alpha) * *r;
            }
        }
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
        // Before the first measurement there is nothing to go on from.
        let begun = self.totals.before.is_some();
        if begun && self.run.folder().latest_checkpoint()?.is_none_or(|c| c.step < step) {
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
        self.log.append(&Event::RunFinished { step: self.next_step })?;
        self.log.sync()?;
        self.run.write_summary(summary)?;
        Ok(model)
    }

    fn log_start(&mut self) -> Result<()> {
        let facts = self.verifier.facts();
        let facts = serde_json::json!({
            "parameters": self.policy.model.n_weights(),
            "parameters_trained": self.policy.model.layout.len(),
            "arithmetic": self.policy.model.matmul_precision().arithmetic(),
            "sandbox": facts.tier.name(),
            "sandbox_command": facts.command,
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

/// A learner of `n_params` numbers, without a critic.
fn learner(recipe: &Recipe, n_params: usize) -> Learner {
    let spec = OptimizerSpec {
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: recipe.learn.weight_decay,
        grad_norm_max: recipe.learn.grad_norm_max,
    };
    let seed = Seed(recipe.seed).child("dropout", 0);
    Learner::new(spec, n_params).recomputing(recipe.learn.gradient_checkpointing).seeded(seed.0)
}

/// The verified programs that a run has before its first step.
fn cold_start(recipe: &Recipe, policy: &Policy) -> Result<Replay> {
    match recipe.replay.cold_start.as_str() {
        "" => Ok(Replay::default()),
        path => Ok(Replay::with(Data::read(Path::new(path), policy)?.given)),
    }
}
