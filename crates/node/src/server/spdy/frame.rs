//! Frames of SPDY/3.1: what stands in them, and how they are read and written.
//!
//! ```text
//!   control |1| version 15 | type 16 | flags 8 | length 24 | …        data |0| stream 31 | flags 8 | length 24 | …
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;
const FIN: u8 = 1;
/// A frame longer than this ends the connection.
pub(super) const LENGTH_MAX: usize = 1 << 20;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Syn { stream: u32, fin: bool, block: Bytes },
    Data { stream: u32, fin: bool, bytes: Bytes },
    Reset { stream: u32 },
    Ping { id: u32 },
    GoAway,
    /// Settings, window updates, headers: nothing that changes anything here.
    Other,
}

/// Bytes that are no SPDY.
#[derive(Debug, thiserror::Error)]
#[error("malformed SPDY frame: {0}")]
pub(super) struct Malformed(&'static str);

fn word(b: &[u8]) -> u32 {
    u32::from_be_bytes([b[0], b[1], b[2], b[3]])
}

/// Takes one whole frame out of a buffer; `None`: more bytes are needed.
pub(super) fn read(buffer: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    if buffer.len() < HEAD_BYTES {
        return Ok(None);
    }
    let (first, second) = (word(&buffer[..4]), word(&buffer[4..8]));
    let (flags, length) = ((second >> 24) as u8, (second & 0x00ff_ffff) as usize);
    if length > LENGTH_MAX {
        return Err(Malformed("too long"));
    }
    if buffer.len() < HEAD_BYTES + length {
        return Ok(None);
    }
    buffer.advance(HEAD_BYTES);
    let mut body = buffer.split_to(length).freeze();
    let fin = flags & FIN != 0;
    if first & 0x8000_0000 == 0 {
        return Ok(Some(Frame::Data { stream: first, fin, bytes: body }));
    }
    if (first >> 16) as u16 & 0x7fff != VERSION {
        return Err(Malformed("version"));
    }
    let kind = (first & 0xffff) as u16;
    let needed = match kind {
        SYN_STREAM => 10,
        RST_STREAM => 8,
        PING => 4,
        _ => 0,
    };
    if body.len() < needed {
        return Err(Malformed("too short"));
    }
    Ok(Some(match kind {
        SYN_STREAM => {
            let stream = word(&body[..4]) & 0x7fff_ffff;
            body.advance(10);
            Frame::Syn { stream, fin, block: body }
        }
        RST_STREAM => Frame::Reset { stream: word(&body[..4]) & 0x7fff_ffff },
        PING => Frame::Ping { id: word(&body[..4]) },
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    }))
}

fn control(kind: u16, flags: u8, body: &[u8], out: &mut BytesMut) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | u32::try_from(body.len()).unwrap_or(0));
    out.extend_from_slice(body);
}

/// A stream is accepted.
pub(super) fn reply(stream: u32, block: &[u8], out: &mut BytesMut) {
    let mut body = stream.to_be_bytes().to_vec();
    body.extend_from_slice(block);
    control(SYN_REPLY, 0, &body, out);
}

/// A peer opens a stream (the client's side; tests and the fuzz target speak it).
pub(super) fn syn(stream: u32, block: &[u8], out: &mut BytesMut) {
    let mut body = stream.to_be_bytes().to_vec();
    body.extend_from_slice(&[0; 6]);
    body.extend_from_slice(block);
    control(SYN_STREAM, 0, &body, out);
}

/// Bytes of a stream, perhaps its last.
pub(super) fn data(stream: u32, bytes: &[u8], fin: bool, out: &mut BytesMut) {
    out.put_u32(stream & 0x7fff_ffff);
    out.put_u32(u32::from(if fin { FIN } else { 0 }) << 24 | u32::try_from(bytes.len()).unwrap_or(0));
    out.extend_from_slice(bytes);
}

/// The answer to a ping is the ping.
pub(super) fn ping(id: u32, out: &mut BytesMut) {
    control(PING, 0, &id.to_be_bytes(), out);
}
