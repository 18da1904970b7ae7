//! What this machine offers: the interpreter, each wall, and the tier that holds.

use std::path::PathBuf;

use crate::jail::{Tier, landlock, seccomp};
use crate::python::{PythonInfo, find_python};
use crate::{Verifier, VerifierConfig};

/// One wall, as `axiom doctor` shows it.
#[derive(Debug, Clone)]
pub struct Wall {
    /// Its name.
    pub name: &'static str,
    /// Whether it can be built here.
    pub stands: bool,
    /// Its version, or why not.
    pub detail: String,
}

/// What this machine offers.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The interpreter, if there is one.
    pub python: Option<PythonInfo>,
    /// Every wall, then every tier with walls.
    pub walls: Vec<Wall>,
    /// The strongest tier whose canaries all fail as they should.
    pub tier: Option<Tier>,
    /// What stands in the way.
    pub problem: Option<String>,
}

/// Looks for an interpreter, tries every wall, and starts a zygote in every tier to be sure.
pub fn probe(python: Option<PathBuf>) -> Probe {
    let filters = seccomp::filters(seccomp::Allowed { files: true, stack: false });
    let mut walls = vec![
        wall("seccomp", filters.map(|f| format!("{} filters", f.len()))),
        wall("landlock", landlock::version().map(|v| format!("version {v}"))),
    ];
    let config = VerifierConfig { slots: 1, python, ..VerifierConfig::default() };
    let python = match find_python(&config) {
        Ok(python) => python,
        Err(e) => {
            return Probe { python: None, walls, tier: None, problem: Some(e.to_string()) };
        }
    };
    let mut strongest = None;
    for tier in Tier::SAFE {
        let started = Verifier::start(VerifierConfig { tier: Some(tier), ..config.clone() });
        if started.is_ok() {
            strongest = strongest.or(Some(tier));
        }
        let found = started.map(|_| "every escape was stopped".to_string());
        walls.push(wall(tier_name(tier), found.map_err(|e| e.to_string())));
    }
    let problem = match strongest {
        Some(_) => None,
        None => Verifier::start(config).err().map(|e| e.to_string()),
    };
    Probe { python: Some(python), walls, tier: strongest, problem }
}

fn wall(name: &'static str, found: Result<String, String>) -> Wall {
    match found {
        Ok(detail) => Wall { name, stands: true, detail },
        Err(detail) => Wall { name, stands: false, detail },
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Namespaces => "tier namespaces",
        Tier::Landlocked => "tier landlocked",
        Tier::NoFiles => "tier no_files",
        Tier::None => "tier none",
        Tier::Remote => "tier remote",
    }
}
