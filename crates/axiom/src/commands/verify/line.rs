//! A submission as a line of JSON, in the shapes in which people have their tests.
//! `docs/verify.md` describes them.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value as Json;
use verify::{Answer, Call, Comparator, Containers, Limits, Mode, Submission, TestCase, Value};

/// What assertions written for any program call it.
const ANY_NAME: &str = "candidate";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Json,
    program: String,
    #[serde(default)]
    entry_point: String,
    tests: Json,
    mode: Option<ModeLine>,
    #[serde(default)]
    answer: AnswerLine,
    #[serde(default)]
    containers: ContainersLine,
    comparator: Option<ComparatorLine>,
    #[serde(default)]
    stop_at_first_failure: bool,
    #[serde(default)]
    limits: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeLine {
    Function,
    Method,
    Stdio,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerLine {
    #[default]
    Returned,
    Argument(usize),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContainersLine {
    Builtin,
    #[default]
    Library,
    Iterable,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ComparatorLine {
    Exact,
    Strict,
    Float(Tolerance),
    AnyOrder,
    AnyOrderTwice,
    AnyOf,
    Lines,
    Tokens,
    FloatTokens(Tolerance),
    Checker(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tolerance {
    #[serde(default)]
    abs: f64,
    #[serde(default)]
    rel: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallTest {
    args: Vec<Json>,
    expected: Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrintTest {
    stdin: String,
    stdout: String,
}

/// Tests as two lists, with the name of the function if there is one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    inputs: Vec<Json>,
    outputs: Vec<Json>,
    fn_name: Option<String>,
}

/// The tests of a line, and what they say of how the program is asked.
#[derive(Debug, Default)]
struct Suite {
    tests: Vec<TestCase>,
    n_printing: usize,
    name: Option<String>,
}

/// Reads a submission and its id.
pub(crate) fn parse(text: &str) -> Result<(Json, Submission)> {
    let line: Line = serde_json::from_str(text)?;
    let suite = suite(&line.tests)?;
    if suite.tests.is_empty() {
        bail!("`tests` is empty: a program without tests cannot be judged");
    }
    let mode = mode(line.mode, &suite)?;
    let submission = Submission {
        program: line.program,
        entry_point: entry_point(line.entry_point, suite.name, mode)?,
        tests: Arc::from(suite.tests),
        comparator: comparator(line.comparator, mode),
        limits: limits(&line.limits)?,
        stop_at_first_failure: line.stop_at_first_failure,
        call: Call {
            mode,
            answer: match line.answer {
                AnswerLine::Returned => Answer::Returned,
                AnswerLine::Argument(at) => Answer::Argument(at),
            },
            containers: match line.containers {
                ContainersLine::Builtin => Containers::Builtin,
                ContainersLine::Library => Containers::Library,
                ContainersLine::Iterable => Containers::Iterable,
            },
        },
    };
    submission.check().map_err(|reason| anyhow!("no program could pass: {reason}"))?;
    Ok((line.id, submission))
}

fn suite(tests: &Json) -> Result<Suite> {
    let mut suite = Suite::default();
    match tests {
        Json::Array(tests) => {
            for (i, test) in tests.iter().enumerate() {
                suite.add(test).with_context(|| format!("test {}", i + 1))?;
            }
        }
        Json::Object(_) => suite.add_columns(Columns::deserialize(tests)?)?,
        _ => bail!("`tests` is neither a list nor an object of `inputs` and `outputs`"),
    }
    Ok(suite)
}

impl Suite {
    fn add(&mut self, test: &Json) -> Result<()> {
        match test {
            Json::String(text) => self.add_assertion(text),
            Json::Object(fields) if fields.contains_key("stdin") => {
                let PrintTest { stdin, stdout } = PrintTest::deserialize(test)?;
                self.n_printing += 1;
                self.tests
                    .push(TestCase { args: vec![Value::Str(stdin)], expected: Value::Str(stdout) });
                Ok(())
            }
            _ => {
                let CallTest { args, expected } = CallTest::deserialize(test)?;
                self.add_call(&args, &expected)
            }
        }
    }

    fn add_call(&mut self, args: &[Json], expected: &Json) -> Result<()> {
        let args = args.iter().map(Value::from_json).collect::<Result<_, _>>()?;
        self.tests.push(TestCase { args, expected: Value::from_json(expected)? });
        Ok(())
    }

    fn add_assertion(&mut self, text: &str) -> Result<()> {
        let (name, args, expected) = Value::from_assertion(text).context(
            "an assertion must compare a call, whose arguments are literals, with a literal",
        )?;
        if name != ANY_NAME {
            let known = self.name.get_or_insert_with(|| name.to_string());
            if known != name {
                bail!("it calls `{name}`, and an earlier test `{known}`");
            }
        }
        self.tests.push(TestCase { args, expected });
        Ok(())
    }

    fn add_columns(&mut self, columns: Columns) -> Result<()> {
        let Columns { inputs, outputs, fn_name } = columns;
        if inputs.len() != outputs.len() {
            bail!("{} `inputs` and {} `outputs`", inputs.len(), outputs.len());
        }
        self.name = fn_name;
        for (input, output) in inputs.iter().zip(&outputs) {
            match (input, output) {
                (Json::String(stdin), Json::String(stdout)) => {
                    self.add(&serde_json::json!({ "stdin": stdin, "stdout": stdout }))?;
                }
                (Json::Array(args), expected) => self.add_call(args, expected)?,
                _ => bail!("an input is neither a text with a text as its output nor a list"),
            }
        }
        Ok(())
    }
}

fn mode(asked: Option<ModeLine>, suite: &Suite) -> Result<Mode> {
    let all_print = suite.n_printing == suite.tests.len();
    match asked {
        None if all_print => Ok(Mode::Stdio),
        Some(ModeLine::Stdio) if all_print => Ok(Mode::Stdio),
        None if suite.n_printing == 0 => Ok(Mode::Function),
        Some(ModeLine::Function) if suite.n_printing == 0 => Ok(Mode::Function),
        Some(ModeLine::Method) if suite.n_printing == 0 => Ok(Mode::Method),
        None => bail!("some tests have `stdin` and some have not"),
        Some(_) => bail!("`mode` does not fit the tests: `stdin` is for `stdio`, and for it alone"),
    }
}

fn entry_point(given: String, in_tests: Option<String>, mode: Mode) -> Result<String> {
    match in_tests {
        _ if mode == Mode::Stdio => Ok(given),
        None if given.is_empty() => bail!("`entry_point` is missing: what do the tests call?"),
        None => Ok(given),
        Some(name) if given.is_empty() || given == name => Ok(name),
        Some(name) => bail!("`entry_point` is `{given}`, and the tests call `{name}`"),
    }
}

fn comparator(line: Option<ComparatorLine>, mode: Mode) -> Comparator {
    match line {
        None if mode == Mode::Stdio => Comparator::Lines,
        None | Some(ComparatorLine::Exact) => Comparator::Exact,
        Some(ComparatorLine::Strict) => Comparator::Strict,
        Some(ComparatorLine::Float(Tolerance { abs, rel })) => Comparator::Float { abs, rel },
        Some(ComparatorLine::AnyOrder) => Comparator::AnyOrder,
        Some(ComparatorLine::AnyOrderTwice) => Comparator::AnyOrderTwice,
        Some(ComparatorLine::AnyOf) => Comparator::AnyOf,
        Some(ComparatorLine::Lines) => Comparator::Lines,
        Some(ComparatorLine::Tokens) => Comparator::Tokens { abs: 0.0, rel: 0.0 },
        Some(ComparatorLine::FloatTokens(Tolerance { abs, rel })) => {
            Comparator::Tokens { abs, rel }
        }
        Some(ComparatorLine::Checker(program)) => Comparator::Checker(program.into()),
    }
}

/// The defaults, with what the line sets. A time for the whole run is also that of each test
/// where the line says nothing of one.
fn limits(line: &BTreeMap<String, u64>) -> Result<Limits> {
    let (mut limits, mut caps) = (Limits::default(), Limits::CAPS);
    let known: Vec<&str> = caps.named().iter().map(|(name, _)| *name).collect();
    for (name, asked) in line {
        let at = known.iter().position(|n| n == name).with_context(|| {
            format!("there is no limit `{name}`; there are {}", known.join(", "))
        })?;
        let cap = *caps.named()[at].1;
        if *asked > cap {
            bail!("`{name}` is {asked}, and {cap} is the most that can be asked for");
        }
        *limits.named()[at].1 = *asked;
    }
    if !line.contains_key("test_cpu_ms") {
        limits.test_cpu_ms = limits.cpu_ms;
    }
    Ok(limits)
}
