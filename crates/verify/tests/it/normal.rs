//! Which programs have the same normal form.

use verify::Verifier;

use crate::{still_honest, verifier, verifiers};

fn forms(verifier: &Verifier, programs: &[&str]) -> Vec<Option<String>> {
    let programs: Vec<String> = programs.iter().map(|p| (*p).to_string()).collect();
    verifier.normal_forms(&programs).unwrap()
}

const PLAIN: &str =
    "def f(xs, k):\n    total = 0\n    for x in xs:\n        total += x * k\n    return total\n";

#[test]
fn what_changes_nothing_is_gone() {
    let same = [
        PLAIN,
        "def f(xs, k):\n  # adds\n\n  total = 0\n  for x in xs: total += (x * k)\n  return total",
        "def f(xs, k):\n    '''Adds.'''\n    total = 0\n    for x in xs:\n        total += x * k\n    return total\n",
        "def solve(a, b):\n    s = 0\n    for c in a:\n        s += c * b\n    return s\n",
        "\"\"\"About.\"\"\"\ndef f(xs, k):\n    k_ = 0\n    for x in xs:\n        k_ += x * k\n    return k_\n",
    ];
    for verifier in verifiers() {
        let found = forms(&verifier, &same);
        assert!(found[0].as_ref().unwrap().contains("FunctionDef"), "{found:?}");
        assert!(found.iter().all(|form| *form == found[0]), "{found:#?}");
    }
    let found = forms(&verifier(), &["def f():\n    'doc'\n", "def f():\n    pass\n"]);
    assert_eq!(found[0], found[1]);
}

#[test]
fn what_may_matter_stays() {
    let pairs = [
        ("def f(x):\n    return x + 1\n", "def f(x):\n    return x + 2\n"),
        ("def f(x):\n    return x + 1\n", "def f(x):\n    return x - 1\n"),
        ("def f(x):\n    return 1\n", "def f(x):\n    return True\n"),
        ("def f(x, y):\n    return x\n", "def f(x, y):\n    return y\n"),
        ("def f(x):\n    return min(x)\n", "def f(x):\n    return max(x)\n"),
        ("def f(x):\n    return x.pop()\n", "def f(x):\n    return x.copy()\n"),
        // Names that somebody else knows: attributes, keywords, modules, texts, builtins.
        (
            "class A:\n    def a(s):\n        return 1\n    def b(s):\n        return 2\ndef f():\n    return A().a()\n",
            "class A:\n    def b(s):\n        return 1\n    def a(s):\n        return 2\ndef f():\n    return A().a()\n",
        ),
        (
            "def g(x, y):\n    return x - y\ndef f():\n    return g(x=1, y=2)\n",
            "def g(y, x):\n    return y - x\ndef f():\n    return g(x=1, y=2)\n",
        ),
        ("import math\ndef f():\n    return math\n", "import heapq\ndef f():\n    return heapq\n"),
        ("def f(a, b):\n    return eval('a')\n", "def f(b, a):\n    return eval('a')\n"),
        (
            "def f(x):\n    return list(x)\ndef g():\n    list = 1\n",
            "def f(x):\n    return set(x)\ndef g():\n    set = 1\n",
        ),
        (
            "class A:\n    def __str__(s):\n        return 'a'\n",
            "class A:\n    def __repr__(s):\n        return 'a'\n",
        ),
    ];
    let verifier = verifier();
    for (a, b) in pairs {
        let found = forms(&verifier, &[a, b]);
        assert!(found.iter().all(Option::is_some) && found[0] != found[1], "{found:#?}\n{a}\n{b}");
    }
}

#[test]
fn a_hostile_text_costs_only_its_own_form() {
    let deep = format!("x = {}1{}\n", "-(".repeat(20_000), ")".repeat(20_000));
    let long = format!("x = 1\n{}", "# \n".repeat(40_000));
    let attacks: [&str; 9] = [
        "def f(:\n",
        "\0",
        "import os\nos._exit(0)\n",
        "def normal_form(p):\n    return 'mine'\n",
        "'''); import os; os._exit(0) #",
        "x = 1_000_000 ** 1_000_000_000\n",
        &deep,
        &long,
        "# -*- coding: nonsense -*-\nx = 1\n",
    ];
    let verifier = verifier();
    let expected = forms(&verifier, &[PLAIN]).remove(0);
    assert!(expected.is_some());
    let mut programs = vec![PLAIN];
    for attack in attacks {
        programs.extend([attack, PLAIN]);
    }
    let found = forms(&verifier, &programs);
    assert_eq!(found.len(), programs.len());
    assert!(found.iter().step_by(2).all(|form| *form == expected), "{found:#?}");
    let none = [0, 1, 4, 6, 7];
    for at in none {
        assert_eq!(found[2 * at + 1], None, "{:.40}", attacks[at]);
    }
    // More than one job, and in order.
    let many: Vec<String> = (0..600).map(|n| format!("x = {n}\n")).collect();
    let found = verifier.normal_forms(&many).unwrap();
    assert!((0..600).all(|n| found[n].as_ref().unwrap().contains(&format!("value={n})"))));
    still_honest(&verifier, "normal forms");
}
