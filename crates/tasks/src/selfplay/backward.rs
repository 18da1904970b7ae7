//! Steps undone: a value that a step makes into a given one.
//!
//! Candidates are tried in one order, the plainest first, so that of many right answers a
//! learner sees the same kind again and again.

use crate::composed::{Data, Line};

use super::short::is_short;

/// The numbers that a list is searched among, from the smallest.
const NUMBERS: i64 = 60;

/// The values before each of `lines` and after the last, if the last is to be `output`. The
/// values of `known`, a trace of the same length, are what is tried last.
pub(super) fn undone(lines: &[Line], output: &Data, known: &[Data]) -> Option<Vec<Data>> {
    let Some((last, before)) = lines.split_last() else { return Some(vec![output.clone()]) };
    let mut candidates = candidates(*last, output);
    candidates.extend(known.get(before.len()).cloned());
    candidates.into_iter().find_map(|value| {
        if !is_short(&value) || last.run(&value).as_ref() != Some(output) {
            return None;
        }
        let mut values = undone(before, &value, known)?;
        values.push(output.clone());
        Some(values)
    })
}

fn candidates(line: Line, output: &Data) -> Vec<Data> {
    let lists = match output {
        Data::List(xs) => of_list(line, xs),
        Data::Int(n) => of_number(*n),
        Data::Text(_) => Vec::new(),
    };
    lists.into_iter().map(Data::List).collect()
}

fn of_number(n: i64) -> Vec<Vec<i64>> {
    let len = n.clamp(0, 5) as usize;
    vec![vec![n], vec![0, n], vec![1; len], vec![8; len], vec![9; len], vec![0], vec![n, 1]]
}

fn of_list(line: Line, xs: &[i64]) -> Vec<Vec<i64>> {
    let reversed: Vec<i64> = xs.iter().rev().copied().collect();
    let (mut left, mut right) = (xs.to_vec(), xs.to_vec());
    left.rotate_left(1.min(xs.len()));
    right.rotate_right(1.min(xs.len()));
    let with = |before: &[i64], after: &[i64]| [before, xs, after].concat();
    let mut lists = vec![xs.to_vec(), reversed, right, left];
    lists.extend(by_position(line, xs));
    for n in [1, 0, 7] {
        lists.push(with(&[n], &[]));
        lists.push(with(&[], &[n]));
        lists.push(with(&[n, n], &[]));
        lists.push(xs.iter().flat_map(|x| [*x, n]).collect());
        lists.push(xs.iter().flat_map(|x| [n, *x]).collect());
        lists.push(sums(n, xs));
        lists.push(sums(n, &xs.iter().map(|x| -x).collect::<Vec<_>>()));
    }
    lists
}

/// The running sums from `start` on: what has these differences.
fn sums(start: i64, xs: &[i64]) -> Vec<i64> {
    let mut sum = start;
    let rest = xs.iter().map(|x| {
        sum += x;
        sum
    });
    std::iter::once(start).chain(rest.collect::<Vec<_>>()).collect()
}

/// A list of the same length, found number by number from the left: right for steps in which no
/// number depends on those after it.
fn by_position(line: Line, xs: &[i64]) -> Option<Vec<i64>> {
    let mut found = vec![0; xs.len()];
    for i in 0..xs.len() {
        let numbers = (0..=NUMBERS).flat_map(|n| [n, -n]);
        let fits = |n: &i64| {
            let mut tried = found.clone();
            tried[i] = *n;
            match line.run(&Data::List(tried)) {
                Some(Data::List(ys)) => ys.len() == xs.len() && ys[i] == xs[i],
                _ => false,
            }
        };
        found[i] = numbers.into_iter().find(fits)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::{super::short::Short, *};
    use crate::{Rng, Split, composed};

    #[test]
    fn what_is_undone_is_done_again() {
        let mut rng = Rng::seed_from_u64(0);
        let (mut n, mut plain) = (0, 0);
        for depth in [1, 2, 3].repeat(300) {
            let short = Short::draw(Split::Pretrain, depth, &mut rng);
            let Some(trace) = short.trace(&mut rng) else { continue };
            let output = &trace[trace.len() - 1];
            let values = undone(&short.lines(), output, &trace).unwrap();
            assert_eq!(values.len(), trace.len());
            assert_eq!(composed::run(&short.lines(), &values[0]).as_ref(), Some(output));
            n += 1;
            plain += usize::from(undone(&short.lines(), output, &[]).is_some());
        }
        assert!(n > 700 && plain * 10 > n * 9, "{plain} of {n}");
    }
}
