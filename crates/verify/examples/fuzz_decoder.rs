//! Tries inputs on everything that reads what a program sent, for as long as wanted.
//!
//! `cargo run --release -p verify --example fuzz_decoder -- 50000000 [SEED]`. Inputs are changed
//! copies of earlier ones; an input that looked new to the code that read it is kept as a
//! parent. This is a plain program with the coverage that the readers' own outcomes give, and
//! needs no nightly compiler. It ends with a panic that shows the input, or with "no promise
//! broken".

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::HashSet;
use std::time::Instant;

use verify::fuzz::{Random, check, mutate, seeds};

const PARENTS_MAX: usize = 20_000;
const REPORTS: u64 = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |n: usize, default: u64| {
        std::env::args().nth(n).map_or(Ok(default), |text| text.parse::<u64>())
    };
    let (executions, seed) = (argument(1, 1_000_000)?, argument(2, 0)?);
    let mut random = Random(seed);
    let mut parents = seeds();
    let mut looks: HashSet<u64> = parents.iter().map(|seed| check(seed)).collect();
    let start = Instant::now();
    for n in 1..=executions {
        let mut bytes = parents[random.below(parents.len())].clone();
        let other = random.below(parents.len());
        mutate(&mut bytes, &parents[other], &mut random);
        let look = check(&bytes);
        if parents.len() < PARENTS_MAX && looks.insert(look) {
            parents.push(bytes);
        }
        if n % executions.div_ceil(REPORTS) == 0 || n == executions {
            let per_second = n as f64 / start.elapsed().as_secs_f64();
            println!("{n} executions, {per_second:.0}/s, {} inputs kept", parents.len());
        }
    }
    println!("no promise broken");
    Ok(())
}
