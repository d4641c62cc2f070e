//! Which libraries a program wants: the part of ELF (System V gABI, "Dynamic Linking") that answers it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// What the dynamic linker would read.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    /// Path of the loader; static programs have none.
    pub(super) interpreter: Option<String>,
    pub(super) needed: Vec<String>,
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// Reads a 64-bit little-endian ELF file.
pub(super) fn read(path: &Path) -> Result<Dynamic> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not a program for this machine", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Dynamic> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("no 64-bit little-endian ELF file");
    }
    let (table, size, count) = (number(bytes, 32, 8)?, number(bytes, 54, 2)?, number(bytes, 56, 2)?);
    let mut segments = Vec::new();
    for i in 0..count {
        let at = table + i * size;
        segments.push(Segment {
            kind: number(bytes, at, 4)? as u32,
            offset: number(bytes, at + 8, 8)?,
            address: number(bytes, at + 16, 8)?,
            size: number(bytes, at + 32, 8)?,
        });
    }
    let of = |kind| segments.iter().find(|s: &&Segment| s.kind == kind);
    let interpreter = of(PT_INTERP).map(|s| text(bytes, s.offset)).transpose()?;
    let Some(dynamic) = of(PT_DYNAMIC) else { return Ok(Dynamic { interpreter, needed: Vec::new() }) };
    let (mut names, mut strings) = (Vec::new(), 0);
    for at in (dynamic.offset..dynamic.offset + dynamic.size).step_by(16) {
        let (tag, value) = (number(bytes, at, 8)?, number(bytes, at + 8, 8)?);
        match tag {
            DT_NULL => break,
            DT_NEEDED => names.push(value),
            DT_STRTAB => strings = value,
            _ => {}
        }
    }
    let holds = |s: &&Segment| s.kind == PT_LOAD && (s.address..s.address + s.size).contains(&strings);
    let Some(load) = segments.iter().find(holds) else { return Ok(Dynamic { interpreter, needed: Vec::new() }) };
    let strings = strings - load.address + load.offset;
    let needed = names.into_iter().map(|name| text(bytes, strings + name)).collect::<Result<_>>()?;
    Ok(Dynamic { interpreter, needed })
}

fn number(bytes: &[u8], at: u64, size: usize) -> Result<u64> {
    let at = usize::try_from(at)?;
    let slice = bytes.get(at..at + size).context("cut off")?;
    Ok(slice.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn text(bytes: &[u8], at: u64) -> Result<String> {
    let rest = bytes.get(usize::try_from(at)?..).context("cut off")?;
    let end = rest.iter().position(|b| *b == 0).context("cut off")?;
    Ok(String::from_utf8(rest[..end].to_vec())?)
}
