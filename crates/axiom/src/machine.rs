//! The machine's side of a run: threads, sandbox, messages.

use anyhow::{Context as _, Result, bail};
use model::Isa;
use verify::{Remote, SandboxCommand, Tier, Verifier, VerifierConfig};

use crate::progress::Progress;

/// Judgements that are remembered: groups repeat themselves, above all late in a run.
const CACHE_ENTRIES: usize = 16_384;

/// Uses no more of the processor than `AXIOM_CPU_CAPABILITY` says, if it says anything, so that a
/// machine can be measured as a lesser one.
pub(crate) fn limit_capability() -> Result<()> {
    const VARIABLE: &str = "AXIOM_CPU_CAPABILITY";
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let isa = match name.to_str() {
        Some("portable") => Isa::Portable,
        Some("avx2") => Isa::Avx2,
        Some("avx512") => Isa::Avx512,
        _ => bail!("{VARIABLE} is {name:?}; use portable, avx2 or avx512, or unset it"),
    };
    Ok(isa.limit()?)
}

/// What the user chose besides the recipe.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) threads: usize,
    pub(crate) allow_unsafe: bool,
    pub(crate) tier: Option<Tier>,
    pub(crate) sandbox_command: Option<String>,
    /// The service that runs programs in the place of this machine.
    pub(crate) remote: Option<Remote>,
    /// Whether no socket may be opened.
    pub(crate) offline: bool,
    pub(crate) progress: Progress,
}

impl Machine {
    /// Starts the sandbox, or says which wall is missing. One without walls is announced each time.
    pub(crate) fn start_verifier(&self) -> Result<Verifier> {
        let sandbox = self.sandbox_command.clone().map(sandbox_command).transpose()?;
        let config = VerifierConfig {
            slots: self.threads,
            allow_unsafe: self.allow_unsafe,
            tier: self.tier,
            sandbox,
            remote: self.remote.clone(),
            cache_entries: CACHE_ENTRIES,
            ..VerifierConfig::default()
        };
        let verifier = Verifier::start(config).context("the sandbox cannot start")?;
        if verifier.facts().tier == Tier::None {
            self.progress.warn(
                "programs run WITHOUT A SANDBOX: they can read, change and send whatever you can",
            );
        }
        Ok(verifier)
    }
}

/// Inside, this binary is the host.
fn sandbox_command(template: String) -> Result<SandboxCommand> {
    let exe = std::env::current_exe().context("this binary cannot be found")?;
    let host = vec![exe.display().to_string(), "__host".to_string()];
    Ok(SandboxCommand { template, host })
}
