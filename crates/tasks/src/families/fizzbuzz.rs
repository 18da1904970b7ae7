//! Words in the place of multiples.

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, int, text};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Fizzbuzz;

const CLASSIC: usize = 0;
const THREE_SEVEN: usize = 1;
const FOUR_FIVE: usize = 2;

/// Factors that make a multiple of no other divisor in play, one for each difficulty.
const FACTORS: [i64; 10] = [11, 13, 17, 19, 23, 29, 31, 37, 41, 43];

impl Algorithm for Fizzbuzz {
    fn name(&self) -> &'static str {
        "fizzbuzz"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "3 and 5",
                share: 3,
                wordings: &[
                    "[Return|Give|Say] 'Fizz' for multiples of 3, 'Buzz' for [multiples|those] of 5, [both joined|'FizzBuzz'] for both, [else|otherwise] $0 as a string.",
                    "[Play|Do] FizzBuzz [for|with] $0: Fizz [if|when] 3 divides it, Buzz [if|when] 5 does, [else|otherwise] the number as [text|a string].",
                ],
            },
            Variant {
                name: "3 and 7",
                share: 1,
                wordings: &[
                    "[Return|Give|Say] 'Fizz' for multiples of 3, 'Buzz' for [multiples|those] of 7, [both joined|'FizzBuzz'] for both, [else|otherwise] $0 as a string.",
                    "[Play|Do] FizzBuzz [for|with] $0: Fizz [if|when] 3 divides it, Buzz [if|when] 7 does, [else|otherwise] the number as [text|a string].",
                ],
            },
            Variant {
                name: "4 and 5",
                share: 1,
                wordings: &[
                    "[Return|Give|Say] 'Fizz' for multiples of 4, 'Buzz' for [multiples|those] of 5, [both joined|'FizzBuzz'] for both, [else|otherwise] $0 as a string.",
                    "[Play|Do] FizzBuzz [for|with] $0: Fizz [if|when] 4 divides it, Buzz [if|when] 5 does, [else|otherwise] the number as [text|a string].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["n"], &["x"], &["num"], &["number"], &["k"]]
    }

    fn inputs(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let bound = 20 * i64::from(difficulty) + 20;
        vec![int(some_number(variant, bound, rng))]
    }

    fn probes(&self, variant: usize, difficulty: u8, _rng: &mut Rng) -> Vec<Vec<Value>> {
        let (a, b) = divisors(variant);
        let factor = FACTORS[usize::from(difficulty) - 1];
        [factor, a * factor, b * factor, a * b * factor, a * b, 1].map(|n| vec![int(n)]).to_vec()
    }

    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        vec![int(some_number(variant, 20, rng))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = divisors(variant);
        let n = as_int(&args[0]);
        text(match (n % a, n % b) {
            (0, 0) => "FizzBuzz".to_string(),
            (0, _) => "Fizz".to_string(),
            (_, 0) => "Buzz".to_string(),
            _ => n.to_string(),
        })
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        let (a, b) = divisors(variant);
        let n = as_int(&args[0]);
        let is_multiple = |of: i64| (1..=n).any(|k| k * of == n);
        let mut said = String::new();
        for (divisor, word) in [(a, "Fizz"), (b, "Buzz")] {
            if is_multiple(divisor) {
                said += word;
            }
        }
        text(if said.is_empty() { n.to_string() } else { said })
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn divisors(variant: usize) -> (i64, i64) {
    match variant {
        CLASSIC => (3, 5),
        THREE_SEVEN => (3, 7),
        _ => (4, 5),
    }
}

/// A number up to about `bound`, a multiple of a divisor half of the time.
fn some_number(variant: usize, bound: i64, rng: &mut Rng) -> i64 {
    let (a, b) = divisors(variant);
    let step = [1, 1, a, b][rng.random_range(0..4)];
    step * rng.random_range(1..=bound / step)
}

const SKETCHES: &[Sketch] = &[
    Sketch {
        body: "
%out = ''
if $0 % {first} == 0:
    %out += 'Fizz'
{also} $0 % {second} == 0:
    %out += 'Buzz'
return {result}
",
        choices: &[FIRST, SECOND, ALSO, RESULT],
        locals: &[Local("out", &["out", "word", "res", "s"])],
    },
    Sketch {
        body: "
%out = 'Fizz' * ($0 % {first} == 0)
%out += 'Buzz' * ($0 % {second} == {remainder})
return {result}
",
        choices: &[FIRST, SECOND, REMAINDER, RESULT],
        locals: &[Local("out", &["out", "word", "res", "s"])],
    },
];

const FIRST: Choice = Choice {
    name: "first",
    options: &[
        twist("3", only(CLASSIC) | only(THREE_SEVEN), 16, 2),
        twist("4", only(FOUR_FIVE), 12, 1),
    ],
};

const SECOND: Choice = Choice {
    name: "second",
    options: &[
        twist("5", only(CLASSIC) | only(FOUR_FIVE), 16, 2),
        twist("7", only(THREE_SEVEN), 12, 1),
    ],
};

const ALSO: Choice = Choice { name: "also", options: &[right("if", 8), wrong("elif", 1)] };

const REMAINDER: Choice = Choice { name: "remainder", options: &[right("0", 8), wrong("1", 1)] };

const RESULT: Choice = Choice {
    name: "result",
    options: &[
        right("%out or str($0)", 12),
        wrong("%out", 1),
        wrong("%out or $0", 1),
        wrong("str($0)", 1),
    ],
};
