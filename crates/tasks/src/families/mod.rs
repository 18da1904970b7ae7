//! The families of tasks about one algorithm, one file each.

use crate::{Algorithm, Tier};

mod values;

mod coin_change;
mod edit_distance;
mod knapsack;
mod lcs;
mod lis;
mod max_subarray;
mod median_sorted_arrays;
mod merge_intervals;
mod n_queens;
mod trapping_rain_water;
mod word_break;

/// Every family, basic ones first.
pub fn all() -> &'static [&'static dyn Algorithm] {
    &[
        &max_subarray::MaxSubarray,
        &lcs::Lcs,
        &edit_distance::EditDistance,
        &knapsack::Knapsack,
        &lis::Lis,
        &coin_change::CoinChange,
        &word_break::WordBreak,
        &merge_intervals::MergeIntervals,
        &median_sorted_arrays::MedianSortedArrays,
        &trapping_rain_water::TrappingRainWater,
        &n_queens::NQueens,
    ]
}

/// The family called `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Algorithm> {
    all().iter().copied().find(|f| f.name() == name)
}

/// The families of one tier.
pub fn of_tier(tier: Tier) -> impl Iterator<Item = &'static dyn Algorithm> {
    all().iter().copied().filter(move |f| f.tier() == tier)
}
