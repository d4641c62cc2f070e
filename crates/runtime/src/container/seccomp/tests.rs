//! The assembled programs are run by a small interpreter of the instructions they use.

use libc::sock_filter;

use super::profile::{ALLOW, KILL_PROCESS, errno, parse};
use super::table::{Arch, numbers};
use super::{bpf, default};
use crate::container::capability;

fn run(program: &[sock_filter], arch: Arch, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => arch.audit(),
        _ => {
            let index = (offset - 16) as usize;
            (arguments[index / 8] >> if index % 8 == 4 { 32 } else { 0 }) as u32
        }
    };
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let i = program[at];
        at += 1;
        let branch = |yes: bool| at + usize::from(if yes { i.jt } else { i.jf });
        match i.code {
            0x20 => a = word(i.k),
            0x54 => a &= i.k,
            0x05 => at += i.k as usize,
            0x15 => at = branch(a == i.k),
            0x25 => at = branch(a > i.k),
            0x35 => at = branch(a >= i.k),
            0x06 => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn call(program: &[sock_filter], arch: Arch, name: &str, first: u64) -> u32 {
    run(program, arch, numbers(arch)[name], [first, 0, 0, 0, 0, 0])
}

#[test]
fn the_default_profile_allows_by_name_capability_and_argument() {
    let usual = capability::compute(false, &[], &[]).expect("defaults");
    let plain = bpf::assemble(&default::profile(usual)).expect("fits");
    let admin = bpf::assemble(&default::profile(capability::ALL)).expect("fits");
    assert!(plain.len() < 800, "{} instructions", plain.len());
    for arch in [Arch::X86_64, Arch::X86] {
        for (name, first, expect) in [
            ("read", 0, ALLOW),
            ("exit_group", 0, ALLOW),
            ("chroot", 0, ALLOW),
            ("reboot", 0, errno(1)),
            ("keyctl", 0, errno(1)),
            ("unshare", 0, errno(1)),
            ("clone", 0x0001_1200, ALLOW),
            ("clone", 0x1000_0000, errno(1)),
            ("clone3", 0, errno(38)),
            ("socket", 2, ALLOW),
            ("socket", 38, errno(1)),
            ("socket", 39, ALLOW),
            ("socket", 40, errno(1)),
            ("socket", 41, ALLOW),
            ("socket", 1 << 32, ALLOW),
            ("personality", 0xffff_ffff, ALLOW),
            ("personality", 0x0004_0000, errno(1)),
        ] {
            assert_eq!(call(&plain, arch, name, first), expect, "{arch:?} {name} {first:#x}");
        }
        for name in ["reboot", "unshare", "clone", "clone3", "mount", "bpf", "init_module"] {
            assert_eq!(call(&admin, arch, name, 0x1000_0000), ALLOW, "{arch:?} {name}");
        }
    }
    assert_eq!(run(&plain, Arch::Aarch64, 0, [0; 6]), KILL_PROCESS);
    assert_eq!(run(&plain, Arch::X86_64, 100_000, [0; 6]), errno(1));
}

#[test]
fn every_allowed_call_gets_the_same_answer_from_search_as_from_the_list() {
    let profile = default::profile(0);
    let program = bpf::assemble(&profile).expect("fits");
    for (name, number) in numbers(Arch::X86_64) {
        let listed = profile.rules.iter().any(|r| r.conditions.is_empty() && r.action == ALLOW && r.names.iter().any(|n| n == name));
        let conditional = profile.rules.iter().any(|r| !r.conditions.is_empty() && r.names.iter().any(|n| n == name));
        if !conditional {
            assert_eq!(run(&program, Arch::X86_64, number, [0; 6]) == ALLOW, listed, "{name}");
        }
    }
}

#[test]
fn a_profile_file_is_obeyed() {
    let text = br#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
        {"names":["mkdir","nosuchcall"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
        {"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":9,"op":"SCMP_CMP_GE"}]},
        {"names":["ptrace"],"action":"SCMP_ACT_KILL_PROCESS"}]}"#;
    let program = bpf::assemble(&parse(text).expect("a profile")).expect("fits");
    let number = |name: &str| numbers(Arch::X86_64)[name];
    assert_eq!(run(&program, Arch::X86_64, number("mkdir"), [0; 6]), errno(13));
    assert_eq!(run(&program, Arch::X86_64, number("kill"), [1, 8, 0, 0, 0, 0]), ALLOW);
    assert_eq!(run(&program, Arch::X86_64, number("kill"), [1, 9, 0, 0, 0, 0]), errno(1));
    assert_eq!(run(&program, Arch::X86_64, number("ptrace"), [0; 6]), KILL_PROCESS);
    assert!(parse(br#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).is_err());
}
