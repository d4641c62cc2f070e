//! A seccomp profile as a value, and its JSON spelling (the `linux.seccomp` object of the OCI runtime spec), which is what
//! a `Localhost` profile file holds.

use serde::Deserialize;

use super::table::Arch;

/// What the kernel does with a call: the upper half of a filter's return value and its data.
pub(super) type Action = u32;

pub(super) const ALLOW: Action = 0x7fff_0000;
pub(super) const KILL_PROCESS: Action = 0x8000_0000;

/// Fail the call with this errno.
pub(super) const fn errno(number: u32) -> Action {
    0x0005_0000 | (number & 0xffff)
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `argument & value == second`.
    Masked(u64),
}

/// One condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u32,
    pub(super) compare: Compare,
    pub(super) value: u64,
}

/// An action for calls by name when all conditions hold.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    pub(super) conditions: Vec<Condition>,
}

/// A whole profile.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) default: Action,
    pub(super) arches: Vec<Arch>,
    pub(super) rules: Vec<Rule>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub(super) flags: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRule {
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<FileArgument>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileArgument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Reads a profile file.
pub(super) fn parse(text: &[u8]) -> Result<Profile, String> {
    let file: File = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mut arches: Vec<Arch> = file.architectures.iter().filter_map(|name| Arch::parse(name)).collect();
    if arches.is_empty() {
        arches.push(Arch::native());
    }
    let mut rules = Vec::new();
    for rule in file.syscalls {
        let action = action(&rule.action, rule.errno_ret)?;
        let conditions = rule.args.unwrap_or_default().iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        // Two conditions on one argument cannot be one filter rule; they are then alternatives.
        let repeated = conditions.iter().enumerate().any(|(i, a)| conditions[..i].iter().any(|b| a.argument == b.argument));
        let groups = if repeated { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] };
        rules.extend(groups.into_iter().map(|conditions| Rule { names: rule.names.clone(), action, conditions }));
    }
    Ok(Profile { default: action(&file.default_action, file.default_errno_ret)?, arches, rules, flags: flags(&file.flags)? })
}

fn action(name: &str, errno_ret: Option<u32>) -> Result<Action, String> {
    const EPERM: u32 = 1;
    let data = errno_ret.unwrap_or(EPERM) & 0xffff;
    Ok(match name {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => errno(data),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        other => return Err(format!("action {other:?} is not supported")),
    })
}

fn condition(argument: &FileArgument) -> Result<Condition, String> {
    const ARGUMENTS: u32 = 6;
    if argument.index >= ARGUMENTS {
        return Err(format!("argument index {} is out of range", argument.index));
    }
    let (compare, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Compare::Equal, argument.value),
        "SCMP_CMP_NE" => (Compare::NotEqual, argument.value),
        "SCMP_CMP_LT" => (Compare::Less, argument.value),
        "SCMP_CMP_LE" => (Compare::LessOrEqual, argument.value),
        "SCMP_CMP_GT" => (Compare::Greater, argument.value),
        "SCMP_CMP_GE" => (Compare::GreaterOrEqual, argument.value),
        "SCMP_CMP_MASKED_EQ" => (Compare::Masked(argument.value), argument.value_two),
        other => return Err(format!("operator {other:?} is not known")),
    };
    Ok(Condition { argument: argument.index, compare, value })
}

fn flags(names: &[String]) -> Result<u32, String> {
    names.iter().try_fold(0, |bits, name| match name.as_str() {
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(bits), // one thread: nothing to synchronise
        "SECCOMP_FILTER_FLAG_LOG" => Ok(bits | 2),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(bits | 4),
        other => Err(format!("flag {other:?} is not supported")),
    })
}
