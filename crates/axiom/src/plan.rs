//! How much memory a run will take at its peak, part by part, before it starts.

use std::{collections::BTreeMap, fs};

use anyhow::Result;
use model::{Decoding, Load, Memory};
use serde_json::{Value, json};
use tasks::{Split, Task, TaskId};

use crate::{
    dtype::LoadDtype,
    families,
    method::Method,
    policy::{Outline, Source},
    recipe::{Recipe, TaskSource},
    seed::Seed,
};

/// The binary, its libraries, the tokenizer, and what is logged of a step.
const PROGRAM: usize = 32 << 20;
/// Tasks of each family whose prompts are looked at, and steps of which it is seen what they ask.
const PROMPTS: u64 = 3;

/// What takes memory, in the order in which people think of it, and how many bytes.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    parts: [(&'static str, usize); 7],
}

/// The sizes of a step.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Prompts that are asked at once.
    prompts: usize,
    /// How often a step asks.
    rounds: usize,
    group: usize,
    prompt_tokens: usize,
    new_tokens: usize,
}

impl Plan {
    /// Of a run on so many threads. Reads the model's config, not its weights.
    pub(crate) fn of(recipe: &Recipe, threads: usize, offline: bool) -> Result<Self> {
        let source = recipe.source(offline);
        let outline = Outline::of(&source)?;
        let learns = source.learns && outline.adapter.is_none();
        let hold = Source { learns, ..source }.hold()?;
        let adapter = recipe.model.adapter.spec().or_else(|| outline.adapter.clone());
        let memory = Memory::of(&outline.config, hold, outline.stored, adapter.as_ref())?;
        let method = Method::of(recipe)?;
        let step = Step::of(recipe, &outline)?;
        let learned = 4 * memory.learned();
        let copies = usize::from(method.needs_reference()) + usize::from(recipe.slow.share > 0.0);
        let parts = step.parts();
        let lanes = parts.min(learn::LANES);
        let tapes = threads.min(lanes);
        let load = step.load(parts);
        let recompute = recipe.learn.gradient_checkpointing;
        // A checkpoint is serialised and read back. Nothing is decoded then.
        let written = learned * (2 + copies) + if adapter.is_some() { 3 * learned } else { 0 };
        let decoding = step.decoding(&memory, threads).max(eval(recipe, step, &memory, threads));
        Ok(Self {
            parts: [
                ("weights", memory.weights()),
                ("adapter", memory.adapter()),
                ("optimizer", 2 * learned),
                ("gradients", lanes * learned),
                ("copies of the policy", copies * learned),
                ("activations", tapes * memory.learning(load, recompute)),
                ("decoding or a checkpoint", decoding.max(written)),
            ],
        })
    }

    /// All parts, and the program itself.
    pub(crate) fn total(&self) -> usize {
        PROGRAM + self.parts.iter().map(|part| part.1).sum::<usize>()
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let parts: serde_json::Map<String, Value> = self
            .parts
            .iter()
            .map(|(name, bytes)| ((*name).to_string(), json!(bytes)))
            .chain([("program".to_string(), json!(PROGRAM))])
            .collect();
        json!({ "bytes": parts, "total": self.total(), "free": free() })
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let parts = self.parts.iter().copied().chain([("program", PROGRAM)]);
        for (name, bytes) in parts.filter(|(_, bytes)| *bytes > 0) {
            text.push_str(&format!("{name:28}{:>12}\n", size(bytes)));
        }
        text.push_str(&format!("{:28}{:>12}\n", "peak", size(self.total())));
        if let Some(free) = free() {
            text.push_str(&format!("{:28}{:>12}\n", "free here", size(free)));
        }
        text
    }
}

/// Why a run will not fit into `limit` bytes, or what is free where that is not given, and what
/// would; none where it fits.
pub(crate) fn refusal(
    recipe: &Recipe,
    (threads, offline): (usize, bool),
    limit: Option<usize>,
) -> Result<Option<String>> {
    let Some(limit) = limit.or_else(free) else { return Ok(None) };
    let takes = Plan::of(recipe, threads, offline)?.total();
    if takes <= limit {
        return Ok(None);
    }
    let said = format!(
        "the run would take {} of memory and {} may be used (`axiom plan` shows the parts)",
        size(takes),
        size(limit)
    );
    let mut smaller = recipe.clone();
    let mut settings = BTreeMap::new();
    let outline = Outline::of(&recipe.source(offline))?;
    for ((key, value), change) in SAVINGS {
        if !change(&mut smaller, &outline) {
            continue;
        }
        settings.insert(key, value);
        let takes = Plan::of(&smaller, threads, offline)?.total();
        if takes <= limit {
            let settings: Vec<String> =
                settings.iter().map(|(key, value)| format!("--set {key}={value}")).collect();
            let settings = settings.join(" ");
            return Ok(Some(format!("{said}; with {settings} it takes {}", size(takes))));
        }
    }
    let nothing = "nothing that axiom could change would make it fit: take a smaller model";
    Ok(Some(format!("{said}; {nothing}")))
}

/// Changes the recipe of a model; false where it is so already.
type Saving = fn(&mut Recipe, &Outline) -> bool;

/// What makes a run smaller, the least painful first.
const SAVINGS: [((&str, &str), Saving); 4] = [
    (("learn.gradient_checkpointing", "true"), |r, _| {
        !std::mem::replace(&mut r.learn.gradient_checkpointing, true)
    }),
    (("model.adapter.r", "16"), |r, outline| {
        let none = r.model.adapter.r == 0 && outline.adapter.is_none();
        if none {
            r.model.adapter.r = 16;
        }
        none
    }),
    (("model.load_dtype", "int8"), |r, _| {
        let more = !matches!(r.model.load_dtype, LoadDtype::Int8 | LoadDtype::Nf4);
        if more {
            r.model.load_dtype = LoadDtype::Int8;
        }
        more
    }),
    (("model.load_dtype", "nf4"), |r, _| {
        std::mem::replace(&mut r.model.load_dtype, LoadDtype::Nf4) != LoadDtype::Nf4
    }),
];

impl Step {
    fn of(recipe: &Recipe, outline: &Outline) -> Result<Self> {
        let new_tokens = recipe.sampling.completion_tokens_max;
        if recipe.tasks.source == TaskSource::Selfplay {
            let s = &recipe.selfplay;
            let prompt_tokens = s.prompt_tokens_max;
            let prompts = s.proposals * s.kinds.len();
            return Ok(Self { prompts, rounds: 1, group: s.rollouts, prompt_tokens, new_tokens });
        }
        let mut prompt_tokens = 0;
        for family in families::parse(&recipe.tasks.families)? {
            for seed in 0..PROMPTS {
                let (difficulty, split) = (recipe.tasks.difficulty_max, Split::Train);
                let id = TaskId { family: family.clone(), difficulty, split, seed };
                let n = outline.prompt_tokens(&Task::question(&id)?)?;
                prompt_tokens = prompt_tokens.max(n);
            }
        }
        let t = &recipe.tasks;
        let curriculum = t.curriculum()?;
        let asked = |seed| curriculum.sample(t.per_step, &mut Seed(seed).rng()).len();
        // Whole families are asked, so a step may ask more than it should.
        let prompts = (0..PROMPTS).map(asked).max().unwrap_or(t.per_step);
        // Of those that are asked in addition, silent ones may be left out.
        let more = if recipe.learn.skip_silent_groups { 1 } else { u64::MAX };
        let rounds = 1 + usize::try_from(t.resample_max.min(more))?;
        Ok(Self { prompts, rounds, group: t.group_size, prompt_tokens, new_tokens })
    }

    /// Tokens of one sequence.
    fn sequence(self) -> usize {
        self.prompt_tokens + self.new_tokens
    }

    /// Pieces of the step's batch.
    fn parts(self) -> usize {
        learn::evened(self.tokens().div_ceil(learn::PART_TOKENS))
    }

    /// What is learnt from, where completions have nothing in common but the prompt.
    fn tokens(self) -> usize {
        self.rounds * self.prompts * (self.prompt_tokens + self.group * self.new_tokens)
    }

    /// One of so many pieces.
    fn load(self, parts: usize) -> Load {
        let tokens = self.tokens().div_ceil(parts).max(self.sequence());
        Load { tokens, targets: tokens, sequence: self.sequence() }
    }

    /// What all threads take to decode the step.
    fn decoding(self, memory: &Memory<'_>, threads: usize) -> usize {
        let all = self.prompts * self.group;
        let rows = all.div_ceil(threads).clamp(1, generate::ROWS_MAX);
        let prompts = rows.div_ceil(self.group);
        let (prompt_tokens, new_tokens) = (self.prompt_tokens, self.new_tokens);
        let decoding = Decoding { rows, prompts, prompt_tokens, new_tokens };
        threads.min(all.div_ceil(rows)) * memory.decoding(decoding)
    }
}

/// What all threads take to decode an evaluation.
fn eval(recipe: &Recipe, step: Step, memory: &Memory<'_>, threads: usize) -> usize {
    let e = &recipe.eval;
    let tasks = match recipe.tasks.source {
        TaskSource::Selfplay => recipe.selfplay.kinds.len() * 3,
        TaskSource::Families => families::parse(&recipe.tasks.families).map_or(1, |f| f.len()),
    };
    let prompts = tasks * e.tasks_per_family as usize;
    Step { prompts, group: e.samples as usize, ..step }.decoding(memory, threads)
}

/// Bytes that a process may still take: what the machine has free, or its control group where
/// that allows less.
fn free() -> Option<usize> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let free = kib(meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?)?;
    let group = |name: &str| -> Option<usize> {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    let group = group("memory.max").zip(group("memory.current"));
    let left = group.map(|(max, current)| max.saturating_sub(current));
    Some(left.unwrap_or(usize::MAX).min(free))
}

/// The most memory that this process ever held, where the system says so.
pub(crate) fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?)
}

/// Bytes of a line such as `  1234 kB`.
fn kib(text: &str) -> Option<usize> {
    let kib: usize = text.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A number of bytes, for people.
fn size(bytes: usize) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1000.0 { format!("{mib:.1} MiB") } else { format!("{:.2} GiB", mib / 1024.0) }
}

/// A number of GiB that a user gave, in bytes.
pub(crate) fn gib(text: &str) -> Result<usize, String> {
    let gib: f64 = text.parse().map_err(|_| "not a number of GiB".to_string())?;
    if !gib.is_finite() || gib <= 0.0 {
        return Err("not a positive number of GiB".to_string());
    }
    Ok((gib * f64::from(1 << 30)) as usize)
}
