//! The families of tasks about one algorithm, one file each.

use crate::{Algorithm, Tier};

mod values;

mod arithmetic;
mod binary_search;
mod coin_change;
mod edit_distance;
mod fibonacci;
mod fizzbuzz;
mod is_palindrome;
mod knapsack;
mod lcs;
mod lis;
mod max_subarray;
mod median_sorted_arrays;
mod merge_intervals;
mod n_queens;
mod parentheses;
mod remove_duplicates;
mod reverse_string;
mod rpn;
mod trapping_rain_water;
mod two_sum;
mod word_break;

/// Every family, basic ones first.
pub fn all() -> &'static [&'static dyn Algorithm] {
    &[
        &rpn::Rpn,
        &arithmetic::Arithmetic,
        &parentheses::Parentheses,
        &fizzbuzz::Fizzbuzz,
        &reverse_string::ReverseString,
        &is_palindrome::IsPalindrome,
        &fibonacci::Fibonacci,
        &binary_search::BinarySearch,
        &two_sum::TwoSum,
        &max_subarray::MaxSubarray,
        &remove_duplicates::RemoveDuplicates,
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
