//! `axiom`: language models that improve themselves by verified execution.

mod ask;
mod backend;
mod cli;
mod clock;
mod commands;
mod data;
mod detect;
mod dtype;
mod families;
mod groups;
mod hash;
mod hub;
mod loops;
mod machine;
mod method;
mod plan;
mod policy;
mod progress;
mod recipe;
mod record;
mod replay;
mod retry;
mod rig;
mod search;
mod seed;
mod selfplay;
mod service;
mod state;
mod summary;
mod update;
mod visible;
mod vote;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use model::CacheLines;
use tasks::{Task, selfplay::Style};

use crate::{
    cli::{Cli, Command, MachineArgs, ServiceArgs, TasksCommand},
    commands::{compare::Comparison, run::Outcome},
    machine::Machine,
    plan::Plan,
    policy::Policy,
    progress::Progress,
    recipe::{EvalRecipe, PretrainRecipe, Recipe},
    seed::Seed,
    selfplay::Prior,
};

#[global_allocator]
static MEMORY: CacheLines = CacheLines;

/// The work failed.
const FAILED: u8 = 1;
/// Bad usage, recipe or input; clap uses the same.
const USAGE: u8 = 2;
/// No safe sandbox, or no python3.
const NO_SANDBOX: u8 = 3;
/// Interrupted; the run can be resumed.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    MEMORY.give_back_large_blocks();
    let command = Cli::parse().command;
    match usage(machine::limit_capability()).and_then(|()| dispatch(command)) {
        Ok(code) => ExitCode::from(code),
        Err(e) => ExitCode::from(report(&e)),
    }
}

/// Prints an error and chooses its exit code.
#[expect(clippy::print_stderr, reason = "the one place where errors are printed")]
fn report(error: &anyhow::Error) -> u8 {
    let broken_pipe = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return 0; // Whoever read our output has seen enough.
    }
    eprintln!("axiom: {error:#}");
    if error.downcast_ref::<Usage>().is_some() {
        USAGE
    } else if error.chain().any(|e| e.is::<verify::VerifyError>()) {
        NO_SANDBOX
    } else {
        FAILED
    }
}

/// Marks an error as the user's.
#[derive(Debug)]
struct Usage;

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bad usage")
    }
}

impl std::error::Error for Usage {}

fn usage<T>(result: Result<T>) -> Result<T> {
    result.map_err(|e| e.context(Usage))
}

fn threads_or_cores(asked: Option<usize>) -> Result<usize> {
    match asked {
        Some(0) => bail!("--threads must be at least 1"),
        Some(threads) => Ok(threads),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

fn machine(args: &MachineArgs) -> Result<Machine> {
    let threads = usage(threads_or_cores(args.threads))?;
    let progress = Progress::detect(args.json);
    Ok(Machine {
        threads,
        allow_unsafe: args.allow_unsafe,
        tier: args.tier,
        sandbox_command: args.sandbox_command.clone(),
        remote: usage(args.backend.as_deref().map(backend::parse).transpose())?,
        offline: false,
        progress,
    })
}

fn dispatch(command: Command) -> Result<u8> {
    match command {
        command @ Command::Run { .. } => start(command),
        Command::Plan { recipe, set, threads, offline, json } => {
            let recipe = usage(Recipe::load(&recipe, &set))?;
            let plan = Plan::of(&recipe, usage(threads_or_cores(threads))?, offline)?;
            if json {
                commands::put(&plan.json())?
            } else {
                commands::show(&plan.table())?
            }
            Ok(0)
        }
        Command::Resume { dir, offline, machine: args } => {
            let machine = Machine { offline, ..machine(&args)? };
            ended(commands::run::resume(&dir, machine, args.json)?)
        }
        Command::Compare { arms, set, budget, seeds, out, machine: args } => {
            let found = Comparison::new(&arms, &set, budget.as_deref(), seeds, out);
            ended(commands::compare::run(&usage(found)?, &machine(&args)?, args.json)?)
        }
        command @ Command::Eval { .. } => evaluate(command),
        command @ Command::Generate { .. } => complete(command),
        command @ Command::Solve { .. } => solve(command),
        Command::Verify { service: ServiceArgs { listen: None, .. }, machine: args } => {
            inputs(commands::verify::run(&machine(&args)?)?)
        }
        Command::Verify { service, machine: args } => serve(&service, &machine(&args)?),
        Command::Host => {
            verify::serve_host(None)?;
            Ok(0)
        }
        Command::Score { model } => inputs(commands::score::run(&Policy::load(&model.source())?)?),
        Command::Merge { model, out, dtype } => {
            commands::merge::run(&model.source(), &out, dtype.dtype())?;
            Ok(0)
        }
        Command::Tasks { command } => look(command),
        Command::Pretrain { corpus, out, set, machine: args } => {
            let recipe = usage(PretrainRecipe::load(corpus, &set))?;
            commands::pretrain::run(&recipe, &out, &machine(&args)?)?;
            Ok(0)
        }
        Command::Doctor { machine: args } => {
            let fit = commands::doctor::run(&machine(&args)?, args.json)?;
            Ok(if fit { 0 } else { NO_SANDBOX })
        }
    }
}

fn start(command: Command) -> Result<u8> {
    let Command::Run {
        recipe,
        set,
        config,
        iterations,
        checkpoint,
        out,
        seed,
        memory,
        offline,
        machine: args,
    } = command
    else {
        bail!("not a run");
    };
    let machine = Machine { offline, ..machine(&args)? };
    let mut settings = Vec::new();
    if let Some(path) = config {
        let prior = usage(Prior::read(&path))?;
        prior.notes.iter().for_each(|note| machine.progress.line(note));
        settings = prior.settings;
    }
    settings.extend(iterations.map(|n| format!("steps={n}")));
    settings.extend(usage(checkpoint.as_deref().map(model_path).transpose())?);
    settings.extend(set);
    let mut recipe = usage(Recipe::load(&recipe, &settings))?;
    recipe.seed = seed.unwrap_or(recipe.seed);
    if let Some(why) = plan::refusal(&recipe, (machine.threads, offline), memory)? {
        return usage(Err(anyhow::Error::msg(why)));
    }
    ended(commands::run::run(recipe, out, machine, args.json)?)
}

/// The setting that starts from the model in `dir`.
fn model_path(dir: &Path) -> Result<String> {
    if dir.join("recipe.toml").exists() {
        bail!("{0} is the folder of a run: go on with `axiom resume {0}`", dir.display());
    }
    let text = dir.to_str().context("the path is not UTF-8")?;
    Ok(format!("model.path={}", toml::Value::from(text)))
}

fn serve(args: &ServiceArgs, machine: &Machine) -> Result<u8> {
    let token = usage(service::token(args.token_file.as_deref()))?;
    let listen = args.listen.as_deref().unwrap_or_default();
    let address = usage(service::address(listen, token.as_deref()))?;
    let body_bytes_max = args.body_mib.saturating_mul(1 << 20);
    let options = service::Options { address, token, queue: args.queue, body_bytes_max };
    service::run(machine.start_verifier()?, &options)?;
    Ok(0)
}

fn ended(outcome: Outcome) -> Result<u8> {
    Ok(match outcome {
        Outcome::Done => 0,
        Outcome::Interrupted => INTERRUPTED,
    })
}

fn inputs(unreadable: usize) -> Result<u8> {
    Ok(if unreadable > 0 { USAGE } else { 0 })
}

fn look(command: TasksCommand) -> Result<u8> {
    match command {
        TasksCommand::List => commands::tasks::list()?,
        TasksCommand::Show { ids, json } => usage(commands::tasks::print(&ids, json))?,
        TasksCommand::Export { families, difficulty, split, n } => {
            usage(commands::tasks::export(&families, difficulty, &split, n))?;
        }
    }
    Ok(0)
}

fn evaluate(command: Command) -> Result<u8> {
    let Command::Eval {
        model,
        families,
        difficulty,
        tasks: tasks_per_family,
        samples,
        temperature,
        split,
        seed,
        examples,
        puzzles,
        style,
        max_tokens: completion_tokens_max,
        stop,
        search,
        machine: args,
    } = command
    else {
        bail!("not an evaluation");
    };
    usage(families::parse(&families))?;
    let recipe = EvalRecipe { every: 0, split, tasks_per_family, difficulty, samples, temperature };
    usage(recipe.check())?;
    // The embedded model was trained on the brief form, and knows no other.
    let style = match style.as_deref() {
        Some("brief") => Style::Brief,
        None if model.model.starts_with("embedded") => Style::Brief,
        Some(_) | None => Style::Instructed,
    };
    let request = commands::eval::Request {
        model,
        families,
        recipe,
        examples,
        completion_tokens_max,
        stop,
        search,
        seed,
    };
    let machine = machine(&args)?;
    match puzzles {
        Some(which) => commands::eval::on_puzzles(&request, (&which, style), &machine, args.json)?,
        None => commands::eval::run(&request, &machine, args.json)?,
    }
    Ok(0)
}

fn solve(command: Command) -> Result<u8> {
    let Command::Solve { model, prompt, example, task, n, retries, sampling, machine: args } =
        command
    else {
        bail!("not a task to solve");
    };
    usage(sampling.check())?;
    let task = usage(match (&prompt, &task) {
        (Some(text), _) => commands::solve::question(text, &example),
        (None, Some(id)) => id.parse().and_then(|id| Task::build(&id)).map_err(Into::into),
        (None, None) => Err(anyhow::anyhow!("give --prompt or --task")),
    })?;
    let policy = model.load(&sampling.stop)?;
    let (seed, sampling) = (Seed(sampling.seed), sampling.sampling(&policy));
    let effort = commands::solve::Effort { n, retries, sampling, seed };
    let solved = commands::solve::run(&policy, &task, &effort, (&machine(&args)?, args.json))?;
    Ok(if solved { 0 } else { FAILED })
}

fn complete(command: Command) -> Result<u8> {
    let Command::Generate { model, prompt, task, n, sampling, machine: args } = command else {
        bail!("not a generation");
    };
    usage(sampling.check())?;
    let policy = model.load(&sampling.stop)?;
    let draws = (n, Seed(sampling.seed));
    let (sampling, machine) = (sampling.sampling(&policy), machine(&args)?);
    match (prompt, task) {
        (Some(prompt), _) => {
            commands::generate::prompt(&policy, &prompt, draws, &sampling, (&machine, args.json))?
        }
        (None, Some(task)) => {
            commands::generate::task(&policy, &task, draws, &sampling, (&machine, args.json))?
        }
        (None, None) => bail!("give --prompt or --task"),
    }
    Ok(0)
}
