//! Header blocks: names and values, compressed with zlib over the whole connection, from a dictionary that both know.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::collections::BTreeMap;

/// Names are lower case; a name has one value.
pub(crate) type Headers = BTreeMap<String, String>;

/// A block that unpacks to more ends the connection.
const BLOCK_BYTES_MAX: usize = 64 << 10;

/// The words that the draft lists, each with its length in front.
const WORDS: &[&str] = &[
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language",
    "accept-ranges", "age", "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding",
    "content-language", "content-length", "content-location", "content-md5", "content-range", "content-type", "date", "etag",
    "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
    "last-modified", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer",
    "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning",
    "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie",
    "keep-alive", "origin",
];

/// The rest of the dictionary, without lengths.
const TAIL: &str = concat!(
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505",
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized",
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable",
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT",
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public",
    "privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
);

/// The dictionary of SPDY/3.
pub(super) fn dictionary() -> Vec<u8> {
    let mut out = Vec::with_capacity(1423);
    for w in WORDS {
        out.extend_from_slice(&u32::try_from(w.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(w.as_bytes());
    }
    out.extend_from_slice(TAIL.as_bytes());
    out
}

/// Header blocks that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("malformed SPDY header block")]
pub(super) struct BadHeaders;

/// One direction's unpacking.
pub(super) struct Unpacker(Decompress);

/// The other direction's packing.
pub(super) struct Packer(Compress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    fn unpack(&mut self, block: &[u8]) -> Result<Vec<u8>, BadHeaders> {
        let mut out = Vec::with_capacity(4096);
        let start = self.0.total_in();
        loop {
            let used = usize::try_from(self.0.total_in() - start).map_err(|_| BadHeaders)?;
            let before = self.0.total_out();
            match self.0.decompress_vec(&block[used..], &mut out, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(BadHeaders),
                Ok(_) => {}
                Err(e) if e.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| BadHeaders)?;
                    continue;
                }
                Err(_) => return Err(BadHeaders),
            }
            let used = usize::try_from(self.0.total_in() - start).map_err(|_| BadHeaders)?;
            if used == block.len() && out.len() < out.capacity() {
                return Ok(out);
            }
            if out.len() > BLOCK_BYTES_MAX || (self.0.total_out() == before && out.len() < out.capacity()) {
                return Err(BadHeaders);
            }
            out.reserve(4096);
        }
    }

    pub(super) fn headers(&mut self, block: &Bytes) -> Result<Headers, BadHeaders> {
        let plain = self.unpack(block)?;
        let mut rest = plain.as_slice();
        let count = number(&mut rest)?;
        let mut headers = Headers::new();
        for _ in 0..count {
            let (name, value) = (text(&mut rest)?, text(&mut rest)?);
            headers.insert(name.to_ascii_lowercase(), value);
        }
        Ok(headers)
    }
}

fn number(rest: &mut &[u8]) -> Result<usize, BadHeaders> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or(BadHeaders)?;
    *rest = tail;
    Ok(u32::from_be_bytes(*head) as usize)
}

fn text(rest: &mut &[u8]) -> Result<String, BadHeaders> {
    let n = number(rest)?;
    let (head, tail) = rest.split_at_checked(n).ok_or(BadHeaders)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).map_err(|_| BadHeaders)
}

impl Packer {
    pub(super) fn new() -> Self {
        let mut c = Compress::new(Compression::fast(), true);
        c.set_dictionary(&dictionary()).expect("a fresh compressor takes a dictionary");
        Self(c)
    }

    pub(super) fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = u32::try_from(headers.len()).unwrap_or(0).to_be_bytes().to_vec();
        for part in headers.iter().flat_map(|(k, v)| [k, v]) {
            plain.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
            plain.extend_from_slice(part.as_bytes());
        }
        self.pack(&plain)
    }

    /// Packs bytes that may be no headers at all.
    pub(super) fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        // Enough for stored blocks, whatever the content.
        let mut out = Vec::with_capacity(plain.len() + 256);
        self.0.compress_vec(plain, &mut out, FlushCompress::Sync).expect("memory is the only limit");
        out
    }
}
