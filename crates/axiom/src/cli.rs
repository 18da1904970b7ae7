//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::RangedU64ValueParser};
use generate::{Filter, Sampling};

use crate::{
    dtype::{LoadDtype, Matmul, SaveDtype},
    plan,
    policy::{Chat, Policy, Source, check_stop},
    recipe::CorpusName,
};

/// Language models that improve themselves by verified execution.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  axiom run                              the default recipe, embedded model, two minutes or so
  axiom run composed --seed 1 --out runs/c1
  axiom run --set learn.lr=2e-4 --set steps=20
  axiom run selfplay                     the model proposes its own tasks
  axiom resume runs/c1                   after Ctrl-C, a crash or a power cut
  axiom eval --model runs/c1/model --families composed --samples 8 --temperature 1
  axiom verify < submissions.jsonl

Exit codes: 0 done; 1 failed; 2 bad usage, recipe or input; 3 no safe sandbox or no python3;
130 interrupted (resume with `axiom resume`)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a recipe: generate, verify, learn, measure.
    #[command(after_help = "\
Recipes: default, composed, shuffled (the control), expert-iteration, ppo, m-grpo,
dpo, selfplay, azr-3b, azr-7b, smoke; or a TOML file. `--set method=NAME` runs any method of docs/methods.md.
`recipes/default.toml` explains every key.")]
    Run {
        /// A recipe's name, or a TOML file.
        #[arg(default_value = "default")]
        recipe: String,
        /// Change a key of the recipe, e.g. `learn.lr=1e-4`.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// A configuration of azrl-llm (YAML), read as settings; those of `--set` come after.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The same as `--set steps=N`.
        #[arg(long, value_name = "N")]
        iterations: Option<u64>,
        /// The same as `--set model.path=DIR`: start from a model or an adapter.
        #[arg(long, value_name = "DIR")]
        checkpoint: Option<PathBuf>,
        /// The run's folder; a new one under `runs/` by default.
        #[arg(long)]
        out: Option<PathBuf>,
        /// The root seed; the recipe's by default.
        #[arg(long)]
        seed: Option<u64>,
        /// Memory that the run may take, in GiB; what is free by default. A run that will not fit is
        /// refused.
        #[arg(long, value_name = "GIB", value_parser = plan::gib)]
        memory: Option<usize>,
        /// Open no socket: a hub name must be in the local cache.
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Say how much memory a run will take, part by part, and whether it fits.
    #[command(after_help = "\
Examples:
  axiom plan
  axiom plan default --set model.path=Qwen/Qwen2.5-Coder-1.5B-Instruct --set model.adapter.r=16 \\
      --set model.load_dtype=nf4 --set learn.gradient_checkpointing=true")]
    Plan {
        /// A recipe's name, or a TOML file.
        #[arg(default_value = "default")]
        recipe: String,
        /// Change a key of the recipe.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Threads of the engine; every core by default.
        #[arg(long)]
        threads: Option<usize>,
        /// Open no socket: a hub name must be in the local cache.
        #[arg(long)]
        offline: bool,
        /// Machine-readable output, in bytes.
        #[arg(long)]
        json: bool,
    },
    /// Go on with an interrupted run.
    Resume {
        /// The run's folder.
        dir: PathBuf,
        /// Open no socket: a hub name must be in the local cache.
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Run recipes side by side at equal cost, over several seeds.
    #[command(after_help = "\
Examples:
  axiom compare default expert-iteration --budget seconds=120 --seeds 3 --out runs/vs
  axiom compare default default,method=rloo default,method=ppo,learn.lr=5e-4 \\
      --budget verifications=20000 --out runs/methods
The same command goes on with what was interrupted. The report is in OUT/compare.json.")]
    Compare {
        /// Recipes, each with settings of its own: `RECIPE[,KEY=VALUE]...`.
        #[arg(required = true)]
        arms: Vec<String>,
        /// Change a key of every recipe.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// What each run may use: `seconds=S`, `tokens=N` (generated), or `verifications=N`.
        #[arg(long, value_name = "KIND=AMOUNT")]
        budget: Option<String>,
        /// Runs of each recipe, with seeds from 0.
        #[arg(long, default_value_t = 3)]
        seeds: u64,
        /// Folder of the runs and the report.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Measure a model on held-out tasks.
    Eval {
        #[command(flatten)]
        model: ModelArgs,
        /// Families: names, `basic`, `hard`, `composed`, `all` (basic and hard).
        #[arg(long, default_value = "all")]
        families: String,
        /// 1 to 10.
        #[arg(long, default_value_t = 5)]
        difficulty: u8,
        /// Tasks of each family.
        #[arg(long, default_value_t = 16)]
        tasks: u64,
        /// Completions of each task.
        #[arg(long, default_value_t = 1)]
        samples: u64,
        /// 0 is greedy.
        #[arg(long, default_value_t = 0.0)]
        temperature: f32,
        /// `validation` or `test`.
        #[arg(long, default_value = "test")]
        split: String,
        /// Which draws.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// What the prompt shows: `true` examples, `none`, or those of `other` tasks.
        #[arg(long, default_value = "true", value_parser = ["true", "none", "other"])]
        examples: String,
        /// Measure on puzzles instead: `bank`, the held-out programs of self-play, or a file of
        /// JSON lines with `code`, `input` and `output`, as CRUXEval has them.
        #[arg(long, value_name = "bank|FILE", conflicts_with_all = ["families", "difficulty", "examples"])]
        puzzles: Option<String>,
        /// How much the prompts of puzzles explain: `brief` for the embedded model.
        #[arg(long, value_parser = ["brief", "instructed"], requires = "puzzles")]
        style: Option<String>,
        /// Most tokens of a completion.
        #[arg(long, default_value_t = 192, value_parser = positive())]
        max_tokens: usize,
        /// End a completion at this text, which is left out; may be repeated.
        #[arg(long, value_name = "TEXT", value_parser = stop_string)]
        stop: Vec<String>,
        /// With several samples: how often the one is right that is chosen by the visible
        /// examples (best@k), or by what most answer (majority@k).
        #[arg(long, conflicts_with = "puzzles")]
        search: bool,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Complete a prompt or a task.
    #[command(after_help = "\
Examples:
  axiom generate --task edit_distance/5/test/0 -n 4
  axiom generate --prompt '# Return the sum of a and b.' -n 2")]
    Generate {
        #[command(flatten)]
        model: ModelArgs,
        /// Text to go on from.
        #[arg(long, conflicts_with = "task", required_unless_present = "task")]
        prompt: Option<String>,
        /// A task's id, FAMILY/DIFFICULTY/SPLIT/SEED; completions get their verdicts.
        #[arg(long)]
        task: Option<String>,
        /// How many completions.
        #[arg(short, default_value_t = 1)]
        n: u64,
        #[command(flatten)]
        sampling: SamplingArgs,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Solve a task: many programs, the best of them by the visible examples, and second tries.
    #[command(after_help = "\
Examples:
  axiom solve --task edit_distance/5/test/0 --model runs/default-seed-0/model -n 16
  axiom solve --prompt 'Return the sum of the squares of the list.' \\
      --example 'f([1, 2]) == 5' --example 'f([]) == 0' --model Qwen/Qwen2.5-Coder-0.5B-Instruct
The program goes to standard output. Exit code 0 if it passes every example, else 1.")]
    Solve {
        #[command(flatten)]
        model: ModelArgs,
        /// What the function is to do, in words.
        #[arg(
            long,
            conflicts_with = "task",
            required_unless_present = "task",
            requires = "example"
        )]
        prompt: Option<String>,
        /// A call and its value, as `f([2, 1]) == [1, 2]`; several times for several.
        #[arg(long, value_name = "CALL == VALUE")]
        example: Vec<String>,
        /// A task's id, FAMILY/DIFFICULTY/SPLIT/SEED; its hidden tests are not used.
        #[arg(long, conflicts_with = "example")]
        task: Option<String>,
        /// How many programs.
        #[arg(short, default_value_t = 16)]
        n: u64,
        /// Rounds in which failed programs are shown to the model again, with what they got
        /// wrong, as long as none passes.
        #[arg(long, default_value_t = 0)]
        retries: u64,
        #[command(flatten)]
        sampling: SamplingArgs,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Judge programs: JSON lines in, JSON lines out.
    #[command(after_help = "\
In, one submission a line:
  {\"id\":1,\"program\":\"def f(x): return x+1\",\"entry_point\":\"f\",
   \"tests\":[{\"args\":[1],\"expected\":2}],
   \"limits\":{\"cpu_ms\":1000,\"wall_ms\":4000,\"memory_mib\":512}}      (limits optional)
A method, `Solution.f` where only `f` is named:
  {...,\"entry_point\":\"Solution.f\",\"tests\":[{\"args\":[1],\"expected\":2}]}
A program that reads and prints:
  {\"id\":2,\"program\":\"print(int(input())+1)\",\"tests\":[{\"stdin\":\"1\",\"stdout\":\"2\"}]}
Assertions between literals:
  {\"id\":3,\"program\":\"def f(x): return x+1\",\"tests\":[\"assert f(1) == 2\"]}
A call that changes its argument; an answer in any order; an answer that a program checks:
  {...,\"answer\":{\"argument\":0}}   {...,\"comparator\":\"any_order\"}
  {...,\"comparator\":{\"checker\":\"def check(input, expected, output): return output > 0\"}}
Out: {\"id\":1,\"verdict\":\"accepted\",\"passed\":1,\"total\":1,...}   in the order of the input

A line that cannot be read gives {\"error\":...} in its place, and exit code 2 at the end.
docs/verify.md has every key.

With --listen the same is answered over HTTP: POST /verify, POST /run_code, GET /health,
GET /metrics; docs/service.md has examples.")]
    Verify {
        #[command(flatten)]
        service: ServiceArgs,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Log-probs of given tokens or texts: JSON lines in, JSON lines out.
    #[command(after_help = "\
In:  {\"tokens\":[1,2,3]} or {\"text\":\"def f(x):\"}
Out: {\"tokens\":[...],\"logprobs\":[null,...]}   each given those before it; none for the first")]
    Score {
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Add an adapter into the weights of its base model: a plain Hugging Face directory.
    #[command(after_help = "\
Example:
  axiom merge --model runs/lora/model --out merged --dtype bfloat16")]
    Merge {
        #[command(flatten)]
        model: ModelArgs,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// How to store the weights.
        #[arg(long, default_value = "float32")]
        dtype: SaveDtype,
    },
    /// Look at tasks.
    Tasks {
        #[command(subcommand)]
        command: TasksCommand,
    },
    /// Make an embedded model from nothing.
    Pretrain {
        /// What it imitates, by `recipes/pretrain.toml` or `recipes/pretrain-selfplay.toml`.
        #[arg(default_value = "families")]
        corpus: CorpusName,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// Change a key of the recipe, e.g. `clean=true`.
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// The inner half of `--sandbox-command`.
    #[command(name = "__host", hide = true)]
    Host,
    /// What this machine offers: python, walls, CPU features.
    Doctor {
        #[command(flatten)]
        machine: MachineArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// The families, their tiers and variants.
    List,
    /// Single tasks: their prompts, and their hidden tests.
    Show {
        /// FAMILY/DIFFICULTY/SPLIT/SEED.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// As JSON lines, in the order of the ids.
        #[arg(long)]
        json: bool,
    },
    /// Tasks as JSON lines.
    Export {
        /// Families: names, `basic`, `hard`, `composed`, `all` (basic and hard).
        #[arg(long, default_value = "all")]
        families: String,
        /// 1 to 10.
        #[arg(long, default_value_t = 5)]
        difficulty: u8,
        /// `pretrain`, `train`, `validation` or `test`.
        #[arg(long, default_value = "train")]
        split: String,
        /// Tasks of each family.
        #[arg(long, default_value_t = 16)]
        n: u64,
    },
}

/// What the service takes.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Answer HTTP requests: a port of this machine alone, or ADDRESS:PORT.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// A file with the token that requests must bring; or set AXIOM_TOKEN. Required where
    /// other machines can reach the address.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) token_file: Option<PathBuf>,
    /// Submissions that may wait; more are refused with status 429.
    #[arg(long, value_name = "N", default_value_t = 4096, requires = "listen")]
    pub(crate) queue: usize,
    /// Largest request, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, requires = "listen")]
    pub(crate) body_mib: usize,
}

/// Which model, and how it is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// `embedded`, `embedded-selfplay`, a Hugging Face or PEFT directory, or a hub name (`OWNER/NAME`).
    #[arg(long, default_value = "embedded")]
    pub(crate) model: String,
    /// Whether prompts are conversations: where the model has a chat template, always, never.
    #[arg(long, default_value = "auto")]
    pub(crate) chat: Chat,
    /// Open no socket: a hub name must be in the local cache.
    #[arg(long)]
    pub(crate) offline: bool,
    /// How the weights are held in memory; auto is as they are stored.
    #[arg(long, default_value = "auto")]
    pub(crate) load_dtype: LoadDtype,
    /// How exactly matrices are multiplied; auto is medium for weights held in bfloat16, int8 or
    /// nf4, else highest (float32).
    #[arg(long, default_value = "auto")]
    pub(crate) matmul_precision: Matmul,
}

impl ModelArgs {
    pub(crate) fn source(&self) -> Source<'_> {
        let Self { model: name, chat, offline, load_dtype, matmul_precision } = self;
        let (chat, offline, dtype) = (*chat, *offline, *load_dtype);
        Source { name, chat, offline, dtype, matmul: *matmul_precision, learns: false }
    }

    /// It, with texts that end its completions.
    pub(crate) fn load(&self, stop: &[String]) -> anyhow::Result<Policy> {
        let mut policy = Policy::load(&self.source())?;
        policy.stop_at(stop);
        Ok(policy)
    }
}

/// How completions are drawn.
#[derive(Debug, Clone, Args)]
pub(crate) struct SamplingArgs {
    /// 0 is greedy.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Only the likeliest tokens that together have this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Only so many of the likeliest tokens; 0 for all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Only tokens at least this share as likely as the likeliest.
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    /// Divide the logits of tokens that the text has already.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// Most tokens of a completion.
    #[arg(long, default_value_t = 192, value_parser = positive())]
    max_tokens: usize,
    /// End a completion at this text, which is left out; may be repeated.
    #[arg(long, value_name = "TEXT", value_parser = stop_string)]
    pub(crate) stop: Vec<String>,
    /// Which draws.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl SamplingArgs {
    /// How a policy draws.
    pub(crate) fn sampling(&self, policy: &Policy) -> Sampling {
        policy.sampling(self.temperature, self.max_tokens, self.filter())
    }

    /// Says which setting means nothing.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.filter().check().map_err(anyhow::Error::msg)
    }

    fn filter(&self) -> Filter {
        let Self { top_p, top_k, min_p, repetition_penalty, .. } = *self;
        Filter { top_k, top_p, min_p, repetition_penalty }
    }
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineArgs {
    /// Threads of the engine and slots of the sandbox; every core by default. Results do not
    /// depend on it.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Machine-readable output, no progress.
    #[arg(long)]
    pub(crate) json: bool,
    /// Where programs run: `http=URL` of a service that speaks SandboxFusion's /run_code, in
    /// the place of this machine. AXIOM_BACKEND_TOKEN holds its token, if it wants one.
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<String>,
    /// Run programs with no walls where none can be built. Dangerous.
    #[arg(long)]
    pub(crate) allow_unsafe: bool,
    /// This tier of the sandbox and no other: `namespaces`, `landlocked` or `no_files`.
    #[arg(long, value_parser = tier)]
    pub(crate) tier: Option<verify::Tier>,
    /// Run the sandbox in another one that this command builds, once for each slot. `{host}`
    /// stands for what it must run inside, `{exe}` for the path of this binary.
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) sandbox_command: Option<String>,
}

/// Numbers from 1 on.
fn positive() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

fn stop_string(text: &str) -> anyhow::Result<String> {
    check_stop(text)?;
    Ok(text.to_string())
}

fn tier(name: &str) -> Result<verify::Tier, String> {
    let names = verify::Tier::SAFE.map(verify::Tier::name).join(", ");
    verify::Tier::safe_from_name(name).ok_or_else(|| format!("not one of {names}"))
}
