//! Placing pieces on a board so that none attacks another.
//!
//! Some squares are blocked, so that the answers cannot be looked up.

use rand::Rng as _;
use verify::Value;

use super::values::{as_int, as_pairs, int, pairs};
use crate::{Algorithm, Choice, Local, Rng, Sketch, Tier, Variant, only, right, twist, wrong};

pub(super) struct NQueens;

const QUEENS: usize = 0;
const ROOKS: usize = 1;

impl Algorithm for NQueens {
    fn name(&self) -> &'static str {
        "n_queens"
    }

    fn tier(&self) -> Tier {
        Tier::Hard
    }

    fn variants(&self) -> &'static [Variant] {
        &[
            Variant {
                name: "queens",
                share: 2,
                wordings: &[
                    "[Return|Count|Find|Give] the number of ways to [place|put|set] $0 [non-attacking|peaceful] queens on an $0 by $0 board, [avoiding|off|not on] the squares in $1.",
                ],
            },
            Variant {
                name: "rooks",
                share: 1,
                wordings: &[
                    "[Return|Count|Find|Give] the number of ways to [place|put|set] $0 [non-attacking|peaceful] rooks on an $0 by $0 board, [avoiding|off|not on] the squares in $1.",
                ],
            },
        ]
    }

    fn params(&self) -> &'static [&'static [&'static str]] {
        &[&["n", "blocked"], &["n", "holes"], &["size", "blocked"], &["m", "taken"]]
    }

    /// Five rooks already have as many placements as Python should walk through here.
    fn inputs(&self, variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Value> {
        let d = i64::from(difficulty);
        let (low, high) =
            if variant == ROOKS { (3 + d / 6, 3 + d / 4) } else { (3 + d / 4, 4 + d / 5) };
        board(rng.random_range(low..=high), rng.random_range(0..=2 + d / 3), rng)
    }

    fn probes(&self, _variant: usize, difficulty: u8, rng: &mut Rng) -> Vec<Vec<Value>> {
        let n = 4 + i64::from(difficulty >= 6);
        vec![
            vec![int(4), pairs(&[])],
            vec![int(4), pairs(&[(0, 1)])],
            vec![int(1), pairs(&[(0, 0)])],
            vec![int(2), pairs(&[])],
            vec![int(5), pairs(&[(2, 0), (4, 4)])],
            board(n, 3, rng),
        ]
    }

    fn example(&self, variant: usize, rng: &mut Rng) -> Vec<Value> {
        let n = if variant == ROOKS { 3 } else { rng.random_range(4..=5) };
        board(n, rng.random_range(1..=2), rng)
    }

    fn solve(&self, variant: usize, args: &[Value]) -> Value {
        fn place(variant: usize, n: i64, blocked: &[(i64, i64)], cols: &mut Vec<i64>) -> i64 {
            let row = cols.len() as i64;
            if row == n {
                return 1;
            }
            let mut ways = 0;
            for col in 0..n {
                let free = cols
                    .iter()
                    .zip(0..)
                    .all(|(&c, r)| c != col && (variant == ROOKS || (c - col).abs() != row - r));
                if free && !blocked.contains(&(row, col)) {
                    cols.push(col);
                    ways += place(variant, n, blocked, cols);
                    cols.pop();
                }
            }
            ways
        }
        int(place(variant, as_int(&args[0]), &as_pairs(&args[1]), &mut Vec::new()))
    }

    fn oracle(&self, variant: usize, args: &[Value]) -> Value {
        // Every way to put one piece in each row, checked when complete.
        let (n, blocked) = (as_int(&args[0]), as_pairs(&args[1]));
        let all = 0..n.pow(n as u32);
        let good = all.filter(|code| {
            let pieces: Vec<(i64, i64)> =
                (0..n).map(|row| (row, code / n.pow(row as u32) % n)).collect();
            let attack = |(r, c): (i64, i64), (s, d): (i64, i64)| {
                c == d || (variant == QUEENS && (r - s).abs() == (c - d).abs())
            };
            (0..pieces.len()).all(|i| {
                !blocked.contains(&pieces[i]) && (0..i).all(|j| !attack(pieces[i], pieces[j]))
            })
        });
        int(good.count() as i64)
    }

    fn sketches(&self) -> &'static [Sketch] {
        SKETCHES
    }
}

/// A board of `n` rows with `count` distinct blocked squares.
fn board(n: i64, count: i64, rng: &mut Rng) -> Vec<Value> {
    let mut blocked: Vec<(i64, i64)> = Vec::new();
    for _ in 0..count {
        let square = (rng.random_range(0..n), rng.random_range(0..n));
        if !blocked.contains(&square) {
            blocked.push(square);
        }
    }
    vec![int(n), pairs(&blocked)]
}

const SKETCHES: &[Sketch] = &[ROW_BY_ROW, RECURSION];

const ROW_BY_ROW: Sketch = Sketch {
    body: "
%rows = {start}
for r in range({rows}):
    %rows = [%b + [c] for %b in %rows for c in range($0) if {free} and all({safe} for i, k in enumerate(%b))]
return len(%rows)
",
    choices: &[
        Choice { name: "start", options: &[right("[[]]", 40), wrong("[]", 60)] },
        Choice {
            name: "rows",
            options: &[right("$0", 55), wrong("$0 - 1", 25), wrong("1, $0", 20)],
        },
        FREE,
        SAFE,
    ],
    locals: &[Local("rows", &["rows", "boards", "ways"]), Local("b", &["b", "q"])],
};

const RECURSION: Sketch = Sketch {
    body: "
def %go(%b):
    r = len(%b)
    if {done}:
        return 1
    t = 0
    for c in range($0):
        if {free} and all({safe} for i, k in enumerate(%b)):
            {add} %go(%b + [c])
    return t
return %go([])
",
    choices: &[
        Choice {
            name: "done",
            options: &[right("r == $0", 40), wrong("r == $0 - 1", 45), wrong("r > $0", 15)],
        },
        FREE,
        SAFE,
        Choice {
            name: "add",
            options: &[right("t +=", 55), wrong("t =", 30), wrong("return", 15)],
        },
    ],
    locals: &[Local("go", &["go", "place", "f"]), Local("b", &["b", "q"])],
};

const FREE: Choice = Choice {
    name: "free",
    options: &[
        right("[r, c] not in $1", 50),
        wrong("[r + 1, c + 1] not in $1", 25),
        wrong("c not in $1", 25),
    ],
};

const SAFE: Choice = Choice {
    name: "safe",
    options: &[
        twist("c != k and abs(c - k) != r - i", only(QUEENS), 45, 14),
        twist("c != k", only(ROOKS), 45, 14),
        wrong("abs(c - k) != r - i", 20),
        wrong("c != k and c - k != r - i", 15),
    ],
};
