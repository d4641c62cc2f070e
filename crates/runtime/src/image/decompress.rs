//! Layers come plain, gzipped or zstd-compressed; the first bytes say which, whatever the media type claims.
//!
//! Answers to the OCI image specification, "Image Layer Filesystem Changeset" (media types `tar`, `+gzip`, `+zstd`).

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Read-ahead on the compressed side.
const BUFFER_BYTES: usize = 64 * 1024;
/// Decoded bytes that a zstd step aims at.
const ZSTD_STEP_BYTES: usize = 128 * 1024;

/// A decompressing reader; reading it to its end consumes the whole source.
pub(crate) enum Decompressor<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<ZstdReader<BufReader<R>>>),
}

impl<R: Read> Decompressor<R> {
    /// Looks at the first bytes and picks the decoder.
    pub(crate) fn new(source: R) -> io::Result<Decompressor<R>> {
        let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
        let head = source.fill_buf()?;
        Ok(match head {
            [0x1f, 0x8b, ..] => Decompressor::Gzip(Box::new(MultiGzDecoder::new(source))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Decompressor::Zstd(Box::new(ZstdReader::new(source)))
            }
            [b'B', b'Z', b'h', ..] => return Err(unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(unsupported("xz")),
            _ => Decompressor::Plain(source),
        })
    }

    /// Whether anything is decoded at all.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Decompressor::Plain(_))
    }

    /// The source, for asking what passed through it.
    pub(crate) fn source(&self) -> &R {
        match self {
            Decompressor::Plain(r) => r.get_ref(),
            Decompressor::Gzip(r) => r.get_ref().get_ref(),
            Decompressor::Zstd(r) => r.source.get_ref(),
        }
    }

    /// Reads whatever follows the last compressed frame, so that the source's digest covers every byte.
    pub(crate) fn drain_source(&mut self) -> io::Result<()> {
        let source: &mut dyn Read = match self {
            Decompressor::Plain(r) => r,
            Decompressor::Gzip(r) => r.get_mut(),
            Decompressor::Zstd(r) => &mut r.source,
        };
        io::copy(source, &mut io::sink()).map(drop)
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} compression is not supported"))
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Decompressor::Plain(r) => r.read(buffer),
            Decompressor::Gzip(r) => r.read(buffer).map_err(|e| match r.get_mut().fill_buf() {
                Ok([]) => io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"),
                _ => io::Error::new(e.kind(), format!("gzip: {e}")),
            }),
            Decompressor::Zstd(r) => r.read(buffer),
        }
    }
}

/// Any number of zstd frames in a row, skippable ones included (zstd:chunked ends with one).
pub(crate) struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R) -> ZstdReader<R> {
        ZstdReader { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Opens the next frame; false at the end of the source.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(corrupt(&e)),
            }
        }
    }
}

fn corrupt(e: &FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {e}"))
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let step = BlockDecodingStrategy::UptoBytes(ZSTD_STEP_BYTES);
                self.decoder.decode_blocks(&mut self.source, step).map_err(|e| corrupt(&e))?;
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            if self.decoder.is_finished() {
                check_sum(&self.decoder)?;
                self.in_frame = false;
            }
        }
    }
}

fn check_sum(decoder: &FrameDecoder) -> io::Result<()> {
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(want), Some(have)) if want != have => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "zstd: checksum mismatch"))
        }
        _ => Ok(()),
    }
}
