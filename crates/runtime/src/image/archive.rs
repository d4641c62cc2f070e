//! Random access to the members of an image archive (a tar) or of a layout directory, without unpacking it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use super::ImageError;
use super::decompress::Decompressor;
use super::manifest::MAX_DOCUMENT_BYTES;
use super::tarstream::TarReader;
use super::unpack::clean;

/// Most members that an image archive may have.
const MAX_MEMBERS: usize = 100_000;
/// Most links followed from one member to another (old `docker save` shares layers so).
const MAX_LINKS: usize = 8;

/// An image archive that is being imported.
pub(crate) enum Archive {
    Tar { file: Arc<File>, members: HashMap<String, Place> },
    Directory(PathBuf),
}

/// A reader of a member's data, and its size.
pub(crate) type Opened = (Box<dyn Read + Send>, u64);

/// Where a member's data is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    At { offset: u64, size: u64 },
    Link(String),
}

impl Archive {
    /// Opens a tar (plain, gzip or zstd; `scratch` is used to expand it) or a layout directory.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Archive, ImageError> {
        let doing = || ImageError::io(format!("read {}", path.display()));
        let meta = path.metadata().map_err(doing())?;
        if meta.is_dir() {
            return Ok(Archive::Directory(path.to_owned()));
        }
        let mut file = File::open(path).map_err(doing())?;
        let mut plain = Decompressor::new(&file).map_err(doing())?;
        if !plain.is_plain() {
            let expanded = scratch.join("archive.tar");
            let doing = || ImageError::io(format!("expand {}", path.display()));
            let mut to = File::options().create_new(true).read(true).write(true).open(&expanded).map_err(doing())?;
            io::copy(&mut plain, &mut to).map_err(doing())?;
            file = to;
        }
        let file = Arc::new(file);
        let members = list(&file).map_err(doing())?;
        Ok(Archive::Tar { file, members })
    }

    /// A reader of one member and its size.
    pub(crate) fn member(&self, name: &str) -> Result<Option<Opened>, ImageError> {
        match self {
            Archive::Tar { file, members } => {
                let mut name = normal(name.as_bytes());
                for _ in 0..MAX_LINKS {
                    match members.get(&name) {
                        None => return Ok(None),
                        Some(Place::Link(to)) => name = to.clone(),
                        Some(Place::At { offset, size }) => {
                            let section = Section { file: file.clone(), at: *offset, end: offset + size };
                            return Ok(Some((Box::new(section), *size)));
                        }
                    }
                }
                Err(ImageError::Malformed { what: "image archive", why: format!("{name}: too many links") })
            }
            Archive::Directory(dir) => {
                let path = dir.join(normal(name.as_bytes()));
                let file = match File::open(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                    other => other.map_err(ImageError::io(format!("open {}", path.display())))?,
                };
                let size = file.metadata().map_err(ImageError::io(format!("stat {}", path.display())))?.len();
                Ok(Some((Box::new(file), size)))
            }
        }
    }

    /// A small member, whole.
    pub(crate) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let Some((mut reader, size)) = self.member(name)? else { return Ok(None) };
        if size > MAX_DOCUMENT_BYTES {
            return Err(ImageError::Malformed { what: "image archive", why: format!("{name} has {size} bytes") });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        reader.read_to_end(&mut bytes).map_err(ImageError::io(format!("read {name}")))?;
        Ok(Some(bytes))
    }
}

fn normal(name: &[u8]) -> String {
    String::from_utf8_lossy(&clean(name).join(&b'/')).into_owned()
}

fn list(file: &Arc<File>) -> io::Result<HashMap<String, Place>> {
    let end = file.metadata()?.len();
    let section = Section { file: file.clone(), at: 0, end };
    let mut tar = TarReader::with_skip(section, Section::skip);
    let mut members = HashMap::new();
    while let Some(member) = tar.advance()? {
        let name = normal(&member.path);
        match member.kind {
            EntryType::Regular if member.sparse.is_none() => {
                members.insert(name, Place::At { offset: tar.position(), size: member.size });
            }
            EntryType::Link => drop(members.insert(name, Place::Link(normal(&member.link)))),
            EntryType::Symlink => {
                let mut target = Path::new(&name).parent().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes().to_vec();
                target.push(b'/');
                target.extend_from_slice(&member.link);
                members.insert(name, Place::Link(normal(&target)));
            }
            _ => {}
        }
        if members.len() > MAX_MEMBERS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many members"));
        }
    }
    Ok(members)
}

/// A part of a file, read by position: any number of them may be read at once.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.end - self.at);
        self.at += count;
        Ok(count)
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
