//! From a profile to classic BPF: a section an architecture; inside, a binary search over ranges of call numbers with the
//! same outcome, so that hundreds of rules cost about ten instructions; conditions on arguments last.

use std::collections::BTreeMap;

use libc::sock_filter;

use super::profile::{Action, Compare, Condition, KILL_PROCESS, Profile, Rule};
use super::table;

const LOAD: u16 = 0x20; // ld [k]
const AND: u16 = 0x54;
const JUMP: u16 = 0x05; // ja +k
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The kernel's limit on a filter's length.
const MAX_INSTRUCTIONS: usize = 4096;

fn op(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// What happens to one call number.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Return(Action),
    /// Alternatives in order; the default when none holds.
    When(Vec<(Vec<Condition>, Action)>),
}

/// Translates a profile.
pub(super) fn assemble(profile: &Profile) -> Result<Vec<sock_filter>, String> {
    let mut program = vec![op(LOAD, ARCH)];
    for arch in &profile.arches {
        let section = section(profile, &table::numbers(*arch));
        program.push(sock_filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: arch.audit() });
        program.push(op(JUMP, section.len() as u32));
        program.extend(section);
    }
    program.push(op(RETURN, KILL_PROCESS));
    if program.len() > MAX_INSTRUCTIONS {
        return Err(format!("seccomp profile needs {} instructions, the kernel takes {MAX_INSTRUCTIONS}", program.len()));
    }
    Ok(program)
}

fn section(profile: &Profile, numbers: &std::collections::HashMap<&'static str, u32>) -> Vec<sock_filter> {
    let mut outcomes: BTreeMap<u32, Outcome> = BTreeMap::new();
    for rule in &profile.rules {
        for name in &rule.names {
            // A name this architecture lacks cannot be called on it.
            if let Some(number) = numbers.get(name.as_str()) {
                add(&mut outcomes, *number, rule, profile.default);
            }
        }
    }
    let ranges = ranges(outcomes, profile.default);
    let mut code = vec![op(LOAD, NUMBER)];
    code.extend(search(&ranges, profile.default));
    code
}

fn add(outcomes: &mut BTreeMap<u32, Outcome>, number: u32, rule: &Rule, default: Action) {
    if rule.action == default {
        return;
    }
    if rule.conditions.is_empty() {
        outcomes.insert(number, Outcome::Return(rule.action));
        return;
    }
    match outcomes.entry(number).or_insert_with(|| Outcome::When(Vec::new())) {
        Outcome::When(list) => list.push((rule.conditions.clone(), rule.action)),
        Outcome::Return(_) => {}
    }
}

/// Sorted (first number, outcome), gaps filled with the default, equal neighbours merged.
fn ranges(outcomes: BTreeMap<u32, Outcome>, default: Action) -> Vec<(u32, Outcome)> {
    let mut ranges: Vec<(u32, Outcome)> = vec![(0, Outcome::Return(default))];
    let mut put = |start: u32, outcome: Outcome| match ranges.last_mut() {
        Some((first, last)) if *first == start => *last = outcome,
        Some((_, last)) if *last == outcome => {}
        _ => ranges.push((start, outcome)),
    };
    let mut next = 0;
    for (number, outcome) in outcomes {
        if number > next {
            put(next, Outcome::Return(default));
        }
        put(number, outcome);
        next = number + 1;
    }
    put(next, Outcome::Return(default));
    ranges
}

fn search(ranges: &[(u32, Outcome)], default: Action) -> Vec<sock_filter> {
    if let [(_, outcome)] = ranges {
        return leaf(outcome, default);
    }
    let middle = ranges.len() / 2;
    let low = search(&ranges[..middle], default);
    // At or above: fall into the jump over the low half. Below: skip that jump.
    let mut code = vec![
        sock_filter { code: JUMP_GREATER_EQUAL, jt: 0, jf: 1, k: ranges[middle].0 },
        op(JUMP, low.len() as u32),
    ];
    code.extend(low);
    code.extend(search(&ranges[middle..], default));
    code
}

fn leaf(outcome: &Outcome, default: Action) -> Vec<sock_filter> {
    match outcome {
        Outcome::Return(action) => vec![op(RETURN, *action)],
        Outcome::When(alternatives) => {
            let mut code: Vec<sock_filter> = alternatives.iter().flat_map(|(all, action)| alternative(all, *action)).collect();
            code.push(op(RETURN, default));
            code
        }
    }
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq)]
enum To {
    Next,
    Holds,
    Fails,
}

/// All conditions, then the action; a condition that fails jumps behind it.
fn alternative(conditions: &[Condition], action: Action) -> Vec<sock_filter> {
    let parts: Vec<Vec<(sock_filter, To, To)>> = conditions.iter().map(compare).collect();
    let end = parts.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(end);
    let mut start = 0;
    for part in &parts {
        for (index, (instruction, on_true, on_false)) in part.iter().enumerate() {
            let here = start + index;
            let offset = |to: To| match to {
                To::Next => 0,
                To::Holds => (start + part.len() - here - 1) as u8,
                To::Fails => (end - here - 1) as u8,
            };
            let jumps = instruction.code & 0x07 == 0x05;
            let (jt, jf) = if jumps { (offset(*on_true), offset(*on_false)) } else { (0, 0) };
            code.push(sock_filter { jt, jf, ..*instruction });
        }
        start += part.len();
    }
    code.push(op(RETURN, action));
    code
}

/// A 64-bit comparison in 32-bit halves (both supported architectures are little-endian).
fn compare(condition: &Condition) -> Vec<(sock_filter, To, To)> {
    use To::{Fails, Holds, Next};
    let low_at = ARGUMENTS + 8 * condition.argument;
    let (high, low) = ((condition.value >> 32) as u32, condition.value as u32);
    let load_high = (op(LOAD, low_at + 4), Next, Next);
    let load_low = (op(LOAD, low_at), Next, Next);
    let equal_high = |yes, no| (op(JUMP_EQUAL, high), yes, no);
    match condition.compare {
        Compare::Equal => vec![load_high, equal_high(Next, Fails), load_low, (op(JUMP_EQUAL, low), Next, Fails)],
        Compare::NotEqual => vec![load_high, equal_high(Next, Holds), load_low, (op(JUMP_EQUAL, low), Fails, Next)],
        Compare::Greater | Compare::GreaterOrEqual => {
            let last = if condition.compare == Compare::Greater { JUMP_GREATER } else { JUMP_GREATER_EQUAL };
            vec![
                load_high,
                (op(JUMP_GREATER, high), Holds, Next),
                equal_high(Next, Fails),
                load_low,
                (op(last, low), Next, Fails),
            ]
        }
        Compare::Less | Compare::LessOrEqual => {
            let last = if condition.compare == Compare::Less { JUMP_GREATER_EQUAL } else { JUMP_GREATER };
            vec![
                load_high,
                (op(JUMP_GREATER, high), Fails, Next),
                equal_high(Next, Holds),
                load_low,
                (op(last, low), Fails, Next),
            ]
        }
        Compare::Masked(mask) => vec![
            load_high,
            (op(AND, (mask >> 32) as u32), Next, Next),
            equal_high(Next, Fails),
            load_low,
            (op(AND, mask as u32), Next, Next),
            (op(JUMP_EQUAL, low), Next, Fails),
        ],
    }
}
