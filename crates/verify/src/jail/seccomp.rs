//! The wall around the kernel: which system calls a candidate may make.
//!
//! The rules and the reason of each are in `resources/syscalls.txt`. Three filters are
//! stacked, and the kernel takes the most severe answer: one that ends the process at calls no
//! honest program makes, one that sends the C library back from `clone3` to `clone`, whose
//! flags a filter can read, and one that allows what is listed. A call from another
//! architecture's table ends the process.

mod table;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

const RULES: &str = include_str!("../../resources/syscalls.txt");

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What the resource file says, in its three sections.
#[derive(Debug, Default)]
struct Listed {
    allow: Rules,
    stack: Rules,
    files: Rules,
    kill: Rules,
}

/// What else is allowed than what every candidate may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// To open files, where Landlock decides which.
    pub(crate) files: bool,
    /// To add filters, where one is needed in every fork.
    pub(crate) stack: bool,
}

/// The filters in the order of installation, as the bytes that the kernel reads.
pub(crate) fn filters(allowed: Allowed) -> Result<Vec<Vec<u8>>, String> {
    let Listed { mut allow, stack, files, kill } = parse(RULES)?;
    if allowed.files {
        allow.extend(files);
    }
    if allowed.stack {
        allow.extend(stack);
    }
    let errno = |code: i32| SeccompAction::Errno(u32::try_from(code).unwrap_or(1));
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    Ok(vec![
        compile(kill, SeccompAction::Allow, SeccompAction::KillProcess)?,
        compile(clone3, SeccompAction::Allow, errno(libc::ENOSYS))?,
        compile(allow_and(allow, libc::SYS_clone3), errno(libc::EPERM), SeccompAction::Allow)?,
    ])
}

/// A filter for a fork, which is to have none of its own.
pub(crate) fn fork_filter() -> Result<Vec<u8>, String> {
    let calls = ["clone", "fork"].into_iter().filter_map(table::number);
    let refused = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    compile(calls.map(|call| (call, Vec::new())).collect(), SeccompAction::Allow, refused)
}

/// Of two filters that answer with an error the newest wins, so the last one must let through
/// what an earlier one answers.
fn allow_and(mut rules: Rules, call: i64) -> Rules {
    rules.insert(call, Vec::new());
    rules
}

fn compile(rules: Rules, other: SeccompAction, listed: SeccompAction) -> Result<Vec<u8>, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter =
        SeccompFilter::new(rules, other, listed, arch).map_err(|error| error.to_string())?;
    let program: BpfProgram =
        filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())?;
    let bytes = program.iter().flat_map(|instruction| {
        let [code_low, code_high] = instruction.code.to_ne_bytes();
        let [a, b, c, d] = instruction.k.to_ne_bytes();
        [code_low, code_high, instruction.jt, instruction.jf, a, b, c, d]
    });
    Ok(bytes.collect())
}

fn parse(text: &str) -> Result<Listed, String> {
    let mut listed = Listed::default();
    let mut section = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            section = Some(line);
            continue;
        }
        let rules = match section {
            Some("[allow]") => &mut listed.allow,
            Some("[stack]") => &mut listed.stack,
            Some("[files]") => &mut listed.files,
            Some("[kill]") => &mut listed.kill,
            _ => return Err(format!("rule outside a section: {line}")),
        };
        add_rule(rules, line)?;
    }
    Ok(listed)
}

fn add_rule(rules: &mut Rules, line: &str) -> Result<(), String> {
    let (rule, reason) = line.split_once("--").ok_or(format!("no reason: {line}"))?;
    if reason.trim().is_empty() {
        return Err(format!("no reason: {line}"));
    }
    let mut words = rule.split_whitespace();
    let name = words.next().unwrap_or_default();
    let Some(number) = table::number(name) else { return Ok(()) };
    let conditions = words.map(condition).collect::<Result<Vec<_>, _>>()?;
    let alternatives = rules.entry(number).or_default();
    if !conditions.is_empty() {
        alternatives.push(SeccompRule::new(conditions).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// `arg1=0x10`: the low half of the argument, which is all the kernel reads of these.
fn condition(word: &str) -> Result<SeccompCondition, String> {
    let malformed = || format!("malformed condition: {word}");
    let (argument, value) = word.split_once('=').ok_or_else(malformed)?;
    let index = argument.strip_prefix("arg").and_then(|n| n.parse().ok()).ok_or_else(malformed)?;
    let value = match value.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).map_err(|_| malformed())?,
        None => value.parse().map_err(|_| malformed())?,
    };
    // A flag word or a command in 32 bits; the process id of `prlimit64` is one too.
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_known_here() {
        for line in RULES.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line.starts_with('[') {
                continue;
            }
            let name = line.split_whitespace().next().unwrap();
            assert!(table::number(name).is_some() || table::ABSENT.contains(&name), "{name}");
        }
    }

    #[test]
    fn no_call_is_both_allowed_and_killed() {
        let listed = parse(RULES).unwrap();
        for number in listed.kill.keys() {
            assert!(!listed.allow.contains_key(number) && !listed.files.contains_key(number));
        }
    }

    #[test]
    fn a_rule_needs_a_section_and_a_reason() {
        assert!(parse("read -- why").is_err());
        assert!(parse("[allow]\nread").is_err());
        assert!(parse("[allow]\nread --").is_err());
        assert!(parse("[allow]\nread arg9 -- why").is_err());
        assert!(parse("[allow]\nread arg0=1 -- why").is_ok());
    }

    #[test]
    fn filters_fit_the_kernel() {
        for files in [true, false] {
            for stack in [true, false] {
                for filter in filters(Allowed { files, stack }).unwrap() {
                    assert!(filter.len() / 8 < 4096);
                }
            }
        }
        assert!(fork_filter().unwrap().len() / 8 < 4096);
    }
}
