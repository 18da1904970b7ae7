//! The families of tasks about one algorithm, one file each.

use crate::{Algorithm, Tier};

mod values;

mod edit_distance;
mod max_subarray;

/// Every family, basic ones first.
pub fn all() -> &'static [&'static dyn Algorithm] {
    &[&max_subarray::MaxSubarray, &edit_distance::EditDistance]
}

/// The family called `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Algorithm> {
    all().iter().copied().find(|f| f.name() == name)
}

/// The families of one tier.
pub fn of_tier(tier: Tier) -> impl Iterator<Item = &'static dyn Algorithm> {
    all().iter().copied().filter(move |f| f.tier() == tier)
}
