//! Families as the command line and recipes name them.

use anyhow::{Result, bail};
use tasks::{Tier, composed, families};

/// The families in a list such as `hard,composed,rpn`: names and tiers, `all` for every family
/// about one algorithm (basic and hard).
pub(crate) fn parse(list: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let found: Vec<&str> = match word {
            "all" => families::all().iter().map(|f| f.name()).collect(),
            "basic" => families::of_tier(Tier::Basic).map(|f| f.name()).collect(),
            "hard" => families::of_tier(Tier::Hard).map(|f| f.name()).collect(),
            composed::NAME => vec![composed::NAME],
            name => match families::by_name(name) {
                Some(family) => vec![family.name()],
                None => bail!("unknown family `{name}`{}", nearest(name)),
            },
        };
        for name in found {
            if !names.iter().any(|n| n == name) {
                names.push(name.to_string());
            }
        }
    }
    if names.is_empty() {
        bail!("no families named; `axiom tasks list` shows them");
    }
    Ok(names)
}

/// The tier of a family.
pub(crate) fn tier(name: &str) -> Tier {
    families::by_name(name).map_or(Tier::Composed, |f| f.tier())
}

fn nearest(name: &str) -> String {
    let known =
        families::all().iter().map(|f| f.name()).chain(["all", "basic", "hard", "composed"]);
    let best = known.max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    best.map(|b| format!("; did you mean `{b}`?")).unwrap_or_default()
}
