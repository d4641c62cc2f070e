//! System call numbers by name and architecture, read from the table beside this file.

use std::collections::HashMap;

const TABLE: &str = include_str!("numbers.txt");

/// An architecture as the kernel's audit code names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    X86_64,
    X86,
    Aarch64,
}

impl Arch {
    /// `AUDIT_ARCH_*`: what `seccomp_data.arch` holds.
    pub(super) fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::X86 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    fn column(self) -> usize {
        match self {
            Arch::X86_64 => 1,
            Arch::X86 => 2,
            Arch::Aarch64 => 3,
        }
    }

    /// The machine this program was built for.
    pub(super) fn native() -> Arch {
        if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 }
    }

    /// From the spelling of a profile file.
    pub(super) fn parse(name: &str) -> Option<Arch> {
        match name {
            "SCMP_ARCH_X86_64" => Some(Arch::X86_64),
            "SCMP_ARCH_X86" => Some(Arch::X86),
            "SCMP_ARCH_AARCH64" => Some(Arch::Aarch64),
            _ => None,
        }
    }
}

/// Name to number on one architecture.
pub(super) fn numbers(arch: Arch) -> HashMap<&'static str, u32> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.split(' ');
            let name = columns.next()?;
            Some((name, columns.nth(arch.column() - 1)?.parse().ok()?))
        })
        .collect()
}
