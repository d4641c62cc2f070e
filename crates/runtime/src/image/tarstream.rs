//! A streaming reader of tar archives that knows every dialect found in image layers.
//!
//! Answers to POSIX pax (IEEE 1003.1), GNU tar's manual ("Basic Tar Format", "Storing Sparse Files") and the OCI layer
//! specification. It exists beside the `tar` crate because that one splits pax records at newlines, which cuts file
//! capabilities (binary xattr values) apart, and reads extension headers of any size into memory.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

const BLOCK: usize = 512;
/// Largest pax or GNU long-name extension of one member.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;
/// Most data fragments of one sparse file.
const MAX_SPARSE_FRAGMENTS: usize = 1 << 20;
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Data fragments of a sparse file: (offset, length), in order.
pub(crate) type Fragments = Vec<(u64, u64)>;

/// One member of an archive; its data is read from the `TarReader` that returned it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: EntryType,
    pub(crate) mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Size of the file once unpacked.
    pub size: u64,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Data fragments (offset, length) of a sparse file, in order; the stream holds them back to back.
    pub sparse: Option<Fragments>,
}

/// Reads members one by one.
pub(crate) struct TarReader<R> {
    source: R,
    /// Data bytes of the current member not yet read.
    left: u64,
    /// Zeros after the data, up to the block boundary.
    padding: u64,
    /// Bytes consumed from the source so far.
    position: u64,
    global: Pax,
    skip: fn(&mut R, u64) -> io::Result<u64>,
}

/// Pax records that matter.
#[derive(Clone, Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_version: (u32, u32),
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_map: Vec<u64>,
    sparse_seen: bool,
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("archive/tar: {}", why.into()))
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF")
}

impl<R: Read> TarReader<R> {
    /// Starts at the first header.
    pub(crate) fn new(source: R) -> TarReader<R> {
        let skip = |source: &mut R, count| io::copy(&mut source.take(count), &mut io::sink());
        TarReader::with_skip(source, skip)
    }

    /// As `new`, for a source that can pass over bytes without reading them; `skip` returns how many there were.
    pub(crate) fn with_skip(source: R, skip: fn(&mut R, u64) -> io::Result<u64>) -> TarReader<R> {
        TarReader { source, left: 0, padding: 0, position: 0, global: Pax::default(), skip }
    }

    /// Offset in the source of the next data byte of the current member.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The source, for draining what follows the archive's end.
    pub(crate) fn source(&mut self) -> &mut R {
        &mut self.source
    }

    /// The next member, skipping what was not read of the last one; `None` at the end of the archive.
    pub(crate) fn advance(&mut self) -> io::Result<Option<Member>> {
        let mut pax = self.global.clone();
        let (mut long_path, mut long_link) = (None, None);
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| bad("invalid tar header"))?;
            match kind {
                EntryType::XHeader => {
                    let bytes = self.extension(size)?;
                    pax.read(&bytes)?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.extension(size)?;
                    self.global.read(&bytes)?;
                    pax.read(&bytes)?;
                }
                EntryType::GNULongName => long_path = Some(self.long_text(size)?),
                EntryType::GNULongLink => long_link = Some(self.long_text(size)?),
                _ => return self.member(&header, size, pax, long_path, long_link).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        header: &Header,
        size: u64,
        pax: Pax,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> io::Result<Member> {
        let kind = match header.entry_type() {
            // Old archives mark directories by a trailing slash only.
            EntryType::Regular if header.path_bytes().ends_with(b"/") => EntryType::Directory,
            EntryType::Continuous => EntryType::Regular,
            kind => kind,
        };
        let has_data = matches!(kind, EntryType::Regular | EntryType::GNUSparse) || unknown(kind);
        let stored = if has_data { pax.size.unwrap_or(size) } else { 0 };
        let mut sparse = None;
        let mut real_size = stored;
        if kind == EntryType::GNUSparse {
            (sparse, real_size) = self.old_sparse(header)?;
        }
        self.set_data(stored)?;
        if pax.sparse_seen && kind == EntryType::Regular {
            sparse = Some(self.pax_sparse(&pax)?);
            real_size = pax.sparse_size.ok_or_else(|| bad("sparse file without its size"))?;
        }
        if let Some(map) = &sparse {
            check_sparse(map, real_size, self.left)?;
        }
        let number = |n: io::Result<u64>| n.unwrap_or(0) as u32;
        let device = (
            header.device_major().ok().flatten().unwrap_or(0),
            header.device_minor().ok().flatten().unwrap_or(0),
        );
        Ok(Member {
            path: pax.sparse_name.or(pax.path).or(long_path).unwrap_or_else(|| header.path_bytes().into_owned()),
            link: pax
                .link
                .or(long_link)
                .or_else(|| header.link_name_bytes().map(|l| l.into_owned()))
                .unwrap_or_default(),
            kind: if kind == EntryType::GNUSparse { EntryType::Regular } else { kind },
            mode: header.mode().unwrap_or(0) & 0o7777,
            uid: pax.uid.unwrap_or_else(|| number(header.uid())),
            gid: pax.gid.unwrap_or_else(|| number(header.gid())),
            mtime: pax.mtime.unwrap_or_else(|| (header.mtime().unwrap_or(0) as i64, 0)),
            size: real_size,
            device,
            xattrs: pax.xattrs,
            sparse,
        })
    }

    fn set_data(&mut self, stored: u64) -> io::Result<()> {
        if stored > i64::MAX as u64 {
            return Err(bad("invalid tar header"));
        }
        self.left = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        Ok(())
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut zeros = 0;
        loop {
            let n = self.fill(header.as_mut_bytes())?;
            if n == 0 {
                return Ok(None);
            }
            if n < BLOCK {
                return Err(truncated());
            }
            if header.as_bytes().iter().any(|b| *b != 0) {
                // A single block of zeros is not the end for every writer; two are.
                return check_header(&header).map(|()| Some(header));
            }
            zeros += 1;
            if zeros == 2 {
                return Ok(None);
            }
        }
    }

    /// Fills a block as far as the source goes.
    fn fill(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n < block.len() {
            match self.source.read(&mut block[n..]) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.position += n as u64;
        Ok(n)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let wanted = self.left + self.padding;
        let got = (self.skip)(&mut self.source, wanted)?;
        self.position += got;
        (self.left, self.padding) = (0, 0);
        if got < wanted { Err(truncated()) } else { Ok(()) }
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION_BYTES {
            return Err(bad(format!("an extension header of {size} bytes")));
        }
        self.set_data(size)?;
        let mut bytes = vec![0; size as usize];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn long_text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut text = self.extension(size)?;
        text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
        Ok(text)
    }

    /// GNU's first sparse format: four fragments in the header, more in blocks after it.
    fn old_sparse(&mut self, header: &Header) -> io::Result<(Option<Fragments>, u64)> {
        let gnu = header.as_gnu().ok_or_else(|| bad("sparse file without a GNU header"))?;
        let mut map = Vec::new();
        let mut add = |s: &tar::GnuSparseHeader| -> io::Result<()> {
            if !s.is_empty() {
                map.push((s.offset()?, s.length()?));
            }
            if map.len() > MAX_SPARSE_FRAGMENTS { Err(bad("too many sparse fragments")) } else { Ok(()) }
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            if self.fill(block.as_mut_bytes())? < BLOCK {
                return Err(truncated());
            }
            block.sparse().iter().try_for_each(&mut add)?;
            more = block.is_extended();
        }
        Ok((Some(map), gnu.real_size()?))
    }

    /// The pax sparse formats 0.0 and 0.1 (map in the header) and 1.0 (map in front of the data).
    fn pax_sparse(&mut self, pax: &Pax) -> io::Result<Fragments> {
        if pax.sparse_version != (1, 0) {
            return Ok(pairs(&pax.sparse_map));
        }
        let (mut numbers, mut wanted) = (Vec::new(), None);
        let mut current = 0u64;
        while wanted.is_none_or(|w| numbers.len() < w) {
            let mut block = [0; BLOCK];
            self.read_exact(&mut block)?;
            for b in block {
                match b {
                    b'0'..=b'9' => {
                        let digit = u64::from(b - b'0');
                        current = current
                            .checked_mul(10)
                            .and_then(|c| c.checked_add(digit))
                            .ok_or_else(|| bad("invalid sparse map"))?;
                    }
                    b'\n' if wanted.is_none() => {
                        if current > MAX_SPARSE_FRAGMENTS as u64 {
                            return Err(bad("too many sparse fragments"));
                        }
                        wanted = Some(current as usize * 2);
                        current = 0;
                    }
                    b'\n' => {
                        numbers.push(current);
                        current = 0;
                    }
                    0 if wanted.is_some_and(|w| numbers.len() >= w) => break,
                    _ => return Err(bad("invalid sparse map")),
                }
                if wanted.is_some_and(|w| numbers.len() >= w) {
                    break;
                }
            }
        }
        Ok(pairs(&numbers))
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.source.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(truncated());
        }
        self.left -= n as u64;
        self.position += n as u64;
        Ok(n)
    }
}

fn unknown(kind: EntryType) -> bool {
    use EntryType as T;
    !matches!(kind, T::Link | T::Symlink | T::Char | T::Block | T::Directory | T::Fifo)
}

fn pairs(numbers: &[u64]) -> Fragments {
    numbers.chunks_exact(2).map(|c| (c[0], c[1])).collect()
}

fn check_sparse(map: &[(u64, u64)], size: u64, stored: u64) -> io::Result<()> {
    let (mut end, mut total) = (0u64, 0u64);
    for (offset, length) in map {
        let next = offset.checked_add(*length).filter(|n| *offset >= end && *n <= size);
        end = next.ok_or_else(|| bad("invalid sparse map"))?;
        total += length;
    }
    if total > stored { Err(bad("invalid sparse map")) } else { Ok(()) }
}

fn check_header(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let field = 148..156;
    let outside = |i: &usize| !field.contains(i);
    let unsigned: u32 = (0..BLOCK).filter(outside).map(|i| u32::from(bytes[i])).sum::<u32>() + 8 * 32;
    let signed: i64 = (0..BLOCK).filter(outside).map(|i| i64::from(bytes[i] as i8)).sum::<i64>() + 8 * 32;
    match header.cksum() {
        Ok(sum) if sum == unsigned || i64::from(sum) == signed => Ok(()),
        _ => Err(bad("invalid tar header")),
    }
}

impl Pax {
    /// Takes in records `<length> <key>=<value>\n`; values are binary.
    fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let malformed = || bad("malformed pax record");
        while !bytes.is_empty() && bytes[0] != 0 {
            let space = bytes.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
            let length = decimal(&bytes[..space]).ok_or_else(malformed)? as usize;
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(malformed());
            }
            let record = &bytes[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let number = || decimal(value).ok_or_else(|| bad("malformed pax record"));
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()? as u32),
            b"gid" => self.gid = Some(number()? as u32),
            b"mtime" => self.mtime = Some(time(value).ok_or_else(|| bad("malformed pax record"))?),
            b"GNU.sparse.major" => (self.sparse_version.0, self.sparse_seen) = (number()? as u32, true),
            b"GNU.sparse.minor" => (self.sparse_version.1, self.sparse_seen) = (number()? as u32, true),
            b"GNU.sparse.name" => self.sparse_name = text(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = Some(number()?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse_seen = true;
                self.sparse_map.push(number()?);
            }
            b"GNU.sparse.map" => {
                self.sparse_seen = true;
                let numbers: Option<Vec<u64>> = value.split(|b| *b == b',').map(decimal).collect();
                self.sparse_map = numbers.ok_or_else(|| bad("invalid sparse map"))?;
            }
            _ if key.starts_with(XATTR_PREFIX) => {
                let name = &key[XATTR_PREFIX.len()..];
                self.xattrs.retain(|(n, _)| n != name);
                self.xattrs.push((name.to_vec(), value.to_vec()));
            }
            _ => {}
        }
        Ok(())
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `1700000000.123456789`, `-1.5`.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(match (whole.starts_with('-'), nanos) {
        (true, 1..) => (seconds - 1, 1_000_000_000 - nanos),
        _ => (seconds, nanos),
    })
}
