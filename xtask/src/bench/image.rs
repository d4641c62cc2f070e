//! The image of the measured pods, made here: one program that sleeps, as a Docker archive.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::cluster::Cluster;

/// The name under which it is imported.
pub(super) const IMAGE: &str = "timonel.local/bench/sleep:v1";
/// Where the program is loaded.
const BASE: u64 = 0x40_0000;
/// Length of an ELF header with one program header (ELF-64, gABI chapters 4 and 5).
const HEADERS: usize = 64 + 56;

/// `for (;;) pause();`, and the ELF number of the machine.
#[cfg(target_arch = "x86_64")]
const PROGRAM: (u16, &[u8]) = (62, &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
/// `for (;;) ppoll(0, 0, 0, 0, 0);`, and the ELF number of the machine.
#[cfg(target_arch = "aarch64")]
const PROGRAM: (u16, &[u8]) = (
    183,
    &[
        0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2, 0x04, 0x00, 0x80,
        0xd2, 0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xf9, 0xff, 0xff, 0x17,
    ],
);

/// Imports the image into a cluster that does not run.
pub(super) fn import(cluster: &Cluster) -> Result<()> {
    let archive = std::env::temp_dir().join(format!("timonel-bench-{}.tar", std::process::id()));
    write(&archive)?;
    let done = cluster.command(&["image", "import"]).arg(&archive).output();
    std::fs::remove_file(&archive)?;
    let done = done.context("running timonel image import")?;
    if done.status.success() {
        return Ok(());
    }
    bail!("timonel image import: {}", String::from_utf8_lossy(&done.stderr).trim())
}

fn write(archive: &Path) -> Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "sleep", 0o755, &elf())?;
    let layer = layer.into_inner()?;
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diff = format!("sha256:{}", hex::encode(Sha256::digest(&layer)));
    let config = json!({
        "architecture": arch, "os": "linux", "config": { "Cmd": ["/sleep"] },
        "rootfs": { "type": "layers", "diff_ids": [diff] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    let mut tar = tar::Builder::new(File::create(archive)?);
    add(&mut tar, "config.json", 0o644, config.to_string().as_bytes())?;
    add(&mut tar, "layer.tar", 0o644, &layer)?;
    add(&mut tar, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    tar.into_inner()?;
    Ok(())
}

fn add<W: std::io::Write>(tar: &mut tar::Builder<W>, name: &str, mode: u32, data: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len().try_into()?);
    header.set_mode(mode);
    Ok(tar.append_data(&mut header, name, data)?)
}

/// The smallest program that the kernel loads: headers and code in one segment.
fn elf() -> Vec<u8> {
    let (machine, code) = PROGRAM;
    let length = (HEADERS + code.len()) as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |out: &mut Vec<u8>, all: &[u16]| all.iter().for_each(|v| out.extend(v.to_le_bytes()));
    let word = |out: &mut Vec<u8>, all: &[u32]| all.iter().for_each(|v| out.extend(v.to_le_bytes()));
    let long = |out: &mut Vec<u8>, all: &[u64]| all.iter().for_each(|v| out.extend(v.to_le_bytes()));
    half(&mut out, &[2, machine]);
    word(&mut out, &[1]);
    long(&mut out, &[BASE + HEADERS as u64, 64, 0]);
    word(&mut out, &[0]);
    half(&mut out, &[64, 56, 1, 0, 0, 0]);
    // One loadable segment, readable and executable.
    word(&mut out, &[1, 5]);
    long(&mut out, &[0, BASE, BASE, length, length, 4096]);
    out.extend_from_slice(code);
    out
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, PROGRAM, elf};

    #[test]
    fn the_program_is_as_long_as_its_headers_say() {
        let bytes = elf();
        assert_eq!(bytes.len(), HEADERS + PROGRAM.1.len());
        let size = u64::from_le_bytes(bytes[64 + 32..64 + 40].try_into().expect("eight bytes"));
        assert_eq!(size, bytes.len() as u64);
    }
}
