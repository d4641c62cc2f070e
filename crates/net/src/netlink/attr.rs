//! Type-length-value writing and reading: a `Writer` that appends whole messages to one buffer, iterators that take them apart.

const HEADER: usize = 16;
const ATTR_HEADER: usize = 4;
/// Nested attributes carry this bit.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are the type.
const TYPE_MASK: u16 = 0x3fff;

fn align(n: usize) -> usize {
    (n + 3) & !3
}

/// Appends netlink messages and their attributes to one buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    start: usize,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Opens a message; `finish` closes it.
    pub fn message(&mut self, kind: u16, flags: u16, seq: u32) -> &mut Self {
        self.start = self.buf.len();
        self.buf.extend_from_slice(&0u32.to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(&flags.to_ne_bytes());
        self.buf.extend_from_slice(&seq.to_ne_bytes());
        self.buf.extend_from_slice(&0u32.to_ne_bytes());
        self
    }

    /// Closes the open message: writes its length.
    pub fn finish(&mut self) {
        let len = (self.buf.len() - self.start) as u32;
        self.buf[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
        self.pad();
    }

    /// Adds flags to the message that begins at `start` (see `mark`).
    pub fn set_flags(&mut self, start: usize, flags: u16) {
        let at = start + 6;
        let now = u16::from_ne_bytes([self.buf[at], self.buf[at + 1]]);
        self.buf[at..at + 2].copy_from_slice(&(now | flags).to_ne_bytes());
    }

    /// Appends the fixed family header of a message.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.buf.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// An attribute of bytes.
    pub fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let len = (ATTR_HEADER + value.len()) as u16;
        self.buf.extend_from_slice(&len.to_ne_bytes());
        self.buf.extend_from_slice(&kind.to_ne_bytes());
        self.buf.extend_from_slice(value);
        self.pad();
        self
    }

    /// A number in host order (rtnetlink).
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// A number in network order (netfilter).
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A long number in network order (netfilter).
    pub fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A text with its closing zero.
    pub fn str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// An attribute of attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.buf.len();
        self.buf.extend_from_slice(&0u16.to_ne_bytes());
        self.buf.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let len = (self.buf.len() - start) as u16;
        self.buf[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// An attribute of attributes that are already encoded.
    pub fn nested_bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attr(kind | NESTED, value)
    }

    /// Bytes of the innermost attribute so far, seen from `start` (see `mark`).
    pub fn since(&self, start: usize) -> usize {
        self.buf.len() - start
    }

    /// The present end of the buffer.
    pub fn mark(&self) -> usize {
        self.buf.len()
    }

    fn pad(&mut self) {
        self.buf.resize(align(self.buf.len()), 0);
    }
}

/// One received message, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub seq: u32,
    /// Everything after the header.
    pub payload: &'a [u8],
}

/// The messages in a received buffer.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let b = self.0;
        if b.len() < HEADER {
            return None;
        }
        let len = ne_u32(b)? as usize;
        if len < HEADER || len > b.len() {
            return None;
        }
        let message = Message {
            kind: u16::from_ne_bytes([b[4], b[5]]),
            flags: u16::from_ne_bytes([b[6], b[7]]),
            seq: ne_u32(&b[8..])?,
            payload: &b[HEADER..len],
        };
        self.0 = &b[align(len).min(b.len())..];
        Some(message)
    }
}

/// The attributes in a payload: (type, value).
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Attrs<'a> {
    /// The first attribute of this type.
    pub fn get(payload: &'a [u8], kind: u16) -> Option<&'a [u8]> {
        Attrs(payload).find(|(k, _)| *k == kind).map(|(_, v)| v)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let b = self.0;
        if b.len() < ATTR_HEADER {
            return None;
        }
        let len = u16::from_ne_bytes([b[0], b[1]]) as usize;
        if len < ATTR_HEADER || len > b.len() {
            return None;
        }
        let kind = u16::from_ne_bytes([b[2], b[3]]) & TYPE_MASK;
        self.0 = &b[align(len).min(b.len())..];
        Some((kind, &b[ATTR_HEADER..len]))
    }
}

/// The first four bytes as a number in host order.
pub fn ne_u32(b: &[u8]) -> Option<u32> {
    b.first_chunk().map(|c| u32::from_ne_bytes(*c))
}

/// The first four bytes as a number in network order.
pub fn be_u32(b: &[u8]) -> Option<u32> {
    b.first_chunk().map(|c| u32::from_be_bytes(*c))
}

/// The first two bytes as a number in network order.
pub fn be_u16(b: &[u8]) -> Option<u16> {
    b.first_chunk().map(|c| u16::from_be_bytes(*c))
}

/// The first eight bytes as a number in network order.
pub fn be_u64(b: &[u8]) -> Option<u64> {
    b.first_chunk().map(|c| u64::from_be_bytes(*c))
}

/// A zero-terminated text.
pub fn text(b: &[u8]) -> String {
    let end = b.iter().position(|c| *c == 0).unwrap_or(b.len());
    String::from_utf8_lossy(&b[..end]).into_owned()
}
