//! The n-th term of a sequence in which each term comes from the two before it.

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, int};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct Fibonacci;

const FIBONACCI: usize = 0;
const LUCAS: usize = 1;
const PELL: usize = 2;

impl Algorithm for Fibonacci {
    fn name(&self) -> &'static str {
        "fibonacci"
    }

    fn tier(&self) -> Tier {
        Tier::Basic
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "Fibonacci",
                share: 3,
                wordings: &[
                    "[Return|Compute|Find|Give] the [Fibonacci number F($0)|$0-th Fibonacci number], [where|with] F(0) = 0[ and F(1) = 1|, F(1) = 1].",
                    "[Return|Compute|Find|Give] [term|number] $0 of the Fibonacci sequence 0, 1, 1, 2, [counting|counted] from [0|zero].",
                ],
            },
            Variant {
                name: "Lucas",
                share: 1,
                wordings: &[
                    "[Return|Compute|Find|Give] the [Lucas number L($0)|$0-th Lucas number], [where|with] L(0) = 2[ and L(1) = 1|, L(1) = 1].",
                    "[Return|Compute|Find|Give] [term|number] $0 of the Lucas sequence 2, 1, 3, 4, [counting|counted] from [0|zero].",
                ],
            },
            Variant {
                name: "Pell",
                share: 1,
                wordings: &[
                    "[Return|Compute|Find|Give] the [Pell number P($0)|$0-th Pell number]: 0, 1, then [twice|2 times] the last plus the one before.",
                    "[Return|Compute|Find|Give] [term|number] $0 of the Pell sequence 0, 1, 2, 5, [counting|counted] from [0|zero].",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["n"], &["k"], &["m"], &["num"], &["index"]]
    }

    fn inputs(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        // Pell numbers fit 64 bits up to the 50th.
        vec![int(rng.random_range(0..=15 + 3 * i64::from(difficulty)))]
    }

    fn probes(&self, _variant: usize, difficulty: u8, _rng: &mut Rng) -> Vec<Vec<Value>> {
        [0, 1, 2, 9 + i64::from(difficulty)].map(|n| vec![int(n)]).to_vec()
    }

    fn example(&self, _variant: usize, rng: &mut Rng) -> Vec<Value> {
        vec![int(rng.random_range(3..=8))]
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        let (mut a, mut b) = start(variant);
        for _ in 0..as_int(&args[0]) {
            (a, b) = (b, factor(variant) * b + a);
        }
        int(a)
    }

    /// A power of the matrix that takes one pair of terms to the next.
    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        type Matrix = [[i128; 2]; 2];
        fn times(x: Matrix, y: Matrix) -> Matrix {
            [0, 1].map(|i| [0, 1].map(|j| x[i][0] * y[0][j] + x[i][1] * y[1][j]))
        }
        fn power(x: Matrix, n: i64) -> Matrix {
            match n {
                0 => [[1, 0], [0, 1]],
                n if n % 2 == 1 => times(x, power(x, n - 1)),
                n => power(times(x, x), n / 2),
            }
        }
        let (a, b) = start(variant);
        let [row, _] = power([[0, 1], [1, factor(variant).into()]], as_int(&args[0]));
        int((row[0] * i128::from(a) + row[1] * i128::from(b)) as i64)
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

fn start(variant: usize) -> (i64, i64) {
    if variant == LUCAS { (2, 1) } else { (0, 1) }
}

fn factor(variant: usize) -> i64 {
    if variant == PELL { 2 } else { 1 }
}

const SKETCHES: &[Sketch] = &[
    Sketch {
        body: "
%a, %b = {start}
for _ in range({count}):
    %a, %b = {step}
return {result}
",
        choices: &[
            Choice {
                name: "start",
                options: &[
                    twist("0, 1", only(FIBONACCI) | only(PELL), 12, 2),
                    twist("2, 1", only(LUCAS), 12, 1),
                    wrong("1, 1", 1),
                ],
            },
            Choice {
                name: "count",
                options: &[right("$0", 12), wrong("$0 - 1", 1), wrong("$0 + 1", 1)],
            },
            Choice {
                name: "step",
                options: &[
                    twist("%b, %a + %b", only(FIBONACCI) | only(LUCAS), 12, 2),
                    twist("%b, %a + 2 * %b", only(PELL), 12, 1),
                    wrong("%a, %a + %b", 1),
                ],
            },
            Choice { name: "result", options: &[right("%a", 9), wrong("%b", 1)] },
        ],
        locals: &[Local("a", &["a", "x", "p"]), Local("b", &["b", "y", "q"])],
    },
    Sketch {
        body: "
%f = {start}
for _ in range({count}):
    %f.append({step})
return {result}
",
        choices: &[
            Choice {
                name: "start",
                options: &[
                    twist("[0, 1]", only(FIBONACCI) | only(PELL), 12, 2),
                    twist("[2, 1]", only(LUCAS), 12, 1),
                    wrong("[1, 1]", 1),
                ],
            },
            Choice { name: "count", options: &[right("$0", 12), wrong("$0 - 2", 1)] },
            Choice {
                name: "step",
                options: &[
                    twist("%f[-1] + %f[-2]", only(FIBONACCI) | only(LUCAS), 12, 2),
                    twist("2 * %f[-1] + %f[-2]", only(PELL), 12, 1),
                    wrong("%f[-1] + %f[0]", 1),
                ],
            },
            Choice {
                name: "result",
                options: &[right("%f[$0]", 9), wrong("%f[-1]", 1), wrong("%f", 1)],
            },
        ],
        locals: &[Local("f", &["f", "seq", "terms"])],
    },
];
