//! `axiom doctor`: what this machine offers.

use anyhow::Result;
use model::{Isa, Unit};
use serde_json::json;

use super::{put, show};
use crate::machine::Machine;

/// Prints what there is. Returns whether a run could start.
pub(crate) fn run(machine: &Machine, json: bool) -> Result<bool> {
    let probe = verify::probe(None);
    let walls: Vec<_> = probe
        .walls
        .iter()
        .map(|w| json!({ "name": w.name, "stands": w.stands, "detail": w.detail }))
        .collect();
    if json {
        put(&json!({
            "python": probe.python.as_ref().map(|p| json!({ "path": p.path, "version": p.version })),
            "walls": walls,
            "tier": probe.tier.map(verify::Tier::name),
            "problem": probe.problem,
            "cpu": Isa::detect().name(),
            "bfloat16": Unit::detect().map(Unit::name),
            "threads": machine.threads,
        }))?;
        return Ok(probe.tier.is_some());
    }
    match &probe.python {
        Some(p) => show(&format!("python    {} ({})\n", p.version, p.path.display()))?,
        None => show("python    none\n")?,
    }
    for wall in &probe.walls {
        let mark = if wall.stands { "ok" } else { "MISSING" };
        show(&format!("{:20} {mark:8} {}\n", wall.name, wall.detail))?;
    }
    show(&format!("sandbox   {}\n", probe.tier.map_or("none", verify::Tier::name)))?;
    if let Some(problem) = &probe.problem {
        show(&format!("problem   {problem}\n"))?;
    }
    let unit =
        Unit::detect().map_or(String::new(), |unit| format!(", bfloat16 on {}", unit.name()));
    show(&format!("cpu       {}{unit}, {} threads\n", Isa::detect().name(), machine.threads))?;
    Ok(probe.tier.is_some())
}
