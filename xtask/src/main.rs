//! Chores of the repository. The only one so far is `tidy`, which checks the rules of STYLE.md
//! that the compiler does not.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to people")]

mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [chore] = args.as_slice() else { bail!("usage: cargo tidy") };
    match chore.as_str() {
        "tidy" => {
            let findings = tidy::check_repository()?;
            for finding in &findings {
                println!("{finding}");
            }
            Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        other => bail!("there is no chore `{other}`; usage: cargo tidy"),
    }
}
