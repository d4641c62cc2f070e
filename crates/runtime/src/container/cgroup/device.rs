//! Which devices a container may open: lines in `devices.allow` on v1, a small BPF program on v2.

use std::io;
use std::path::Path;

use super::write;

/// One allowed device or range. `None` is any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRule {
    /// `a` (any), `b` or `c`.
    pub(crate) kind: char,
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    /// Bits of [`MKNOD`], [`READ`], [`WRITE`].
    pub(crate) access: u8,
}

pub(crate) const MKNOD: u8 = 1;
pub(crate) const READ: u8 = 2;
pub(crate) const WRITE: u8 = 4;

impl DeviceRule {
    /// Everything: privileged containers.
    pub(crate) const ANY: DeviceRule = DeviceRule { kind: 'a', major: None, minor: None, access: MKNOD | READ | WRITE };

    /// Access bits of letters out of `rwm`.
    pub(crate) fn access_of(letters: &str) -> u8 {
        letters.chars().fold(0, |bits, letter| {
            bits | match letter {
                'r' => READ,
                'w' => WRITE,
                'm' => MKNOD,
                _ => 0,
            }
        })
    }

    /// What every container may use: make any node (useless without permission to open it), the usual devices, terminals.
    pub(crate) fn defaults() -> Vec<DeviceRule> {
        const NODES: [(u64, Option<u64>); 9] = [
            (1, Some(3)), // null
            (1, Some(5)), // zero
            (1, Some(7)), // full
            (1, Some(8)), // random
            (1, Some(9)), // urandom
            (5, Some(0)), // tty
            (5, Some(1)), // console
            (5, Some(2)), // ptmx
            (136, None),  // pts
        ];
        let mut rules: Vec<_> = ['c', 'b']
            .into_iter()
            .map(|kind| DeviceRule { kind, major: None, minor: None, access: MKNOD })
            .collect();
        rules.extend(NODES.iter().map(|(major, minor)| DeviceRule {
            kind: 'c',
            major: Some(*major),
            minor: *minor,
            access: MKNOD | READ | WRITE,
        }));
        rules
    }

    fn line(&self) -> String {
        let number = |n: Option<u64>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let mut access = String::new();
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if self.access & bit != 0 {
                access.push(letter);
            }
        }
        format!("{} {}:{} {access}", self.kind, number(self.major), number(self.minor))
    }
}

/// v1: deny all, then allow line by line.
pub(super) fn write_v1(dir: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    if rules.contains(&DeviceRule::ANY) {
        return write(dir, "devices.allow", "a");
    }
    write(dir, "devices.deny", "a")?;
    rules.iter().try_for_each(|rule| write(dir, "devices.allow", rule.line()))
}

/// One eBPF instruction in its 64 bits.
fn op(code: u8, dst: u8, src: u8, offset: i16, value: i32) -> u64 {
    u64::from(code)
        | u64::from(dst | (src << 4)) << 8
        | u64::from(offset as u16) << 16
        | u64::from(value as u32) << 32
}

/// v2: a program over `struct bpf_cgroup_dev_ctx {access_type, major, minor}`, where the access type holds the kind
/// (1 block, 2 character) in its low half and the access bits in its high half. Returns 1 to allow.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<u64> {
    const LOAD_WORD: u8 = 0x61; // dst = *(u32 *)(src + offset)
    const MOVE: u8 = 0xbf;
    const MOVE_VALUE: u8 = 0xb7;
    const AND_VALUE: u8 = 0x54; // 32 bits
    const SHIFT_RIGHT: u8 = 0x74; // 32 bits
    const JUMP_UNLESS_EQUAL: u8 = 0x55;
    const JUMP_UNLESS_EQUAL_REGISTER: u8 = 0x5d;
    const EXIT: u8 = 0x95;
    let mut code = vec![
        op(LOAD_WORD, 2, 1, 0, 0), // r2: kind
        op(AND_VALUE, 2, 0, 0, 0xffff),
        op(LOAD_WORD, 3, 1, 0, 0), // r3: access
        op(SHIFT_RIGHT, 3, 0, 0, 16),
        op(LOAD_WORD, 4, 1, 4, 0), // r4: major
        op(LOAD_WORD, 5, 1, 8, 0), // r5: minor
    ];
    for rule in rules {
        let mut block = Vec::new();
        if rule.kind != 'a' {
            block.push((JUMP_UNLESS_EQUAL, 2, 0, if rule.kind == 'b' { 1 } else { 2 }));
        }
        if rule.access != MKNOD | READ | WRITE {
            // Allowed only when the asked bits are a subset of the rule's: (asked & allowed) == asked.
            block.push((MOVE, 1, 3, 0));
            block.push((AND_VALUE, 1, 0, i32::from(rule.access)));
            block.push((JUMP_UNLESS_EQUAL_REGISTER, 1, 3, 0));
        }
        for (register, number) in [(4, rule.major), (5, rule.minor)] {
            if let Some(number) = number {
                block.push((JUMP_UNLESS_EQUAL, register, 0, number as i32));
            }
        }
        block.push((MOVE_VALUE, 0, 0, 1));
        block.push((EXIT, 0, 0, 0));
        let length = block.len();
        for (index, (opcode, dst, src, value)) in block.into_iter().enumerate() {
            let jumps = matches!(opcode, JUMP_UNLESS_EQUAL | JUMP_UNLESS_EQUAL_REGISTER);
            let offset = if jumps { (length - index - 1) as i16 } else { 0 };
            code.push(op(opcode, dst, src, offset, value));
        }
    }
    code.push(op(MOVE_VALUE, 0, 0, 0, 0));
    code.push(op(EXIT, 0, 0, 0, 0));
    code
}
