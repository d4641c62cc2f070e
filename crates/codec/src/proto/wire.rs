//! The protobuf wire format: varints, length-delimited fields, and a reader that trusts nothing.

use super::ProtoError;

/// Writes a varint.
pub(super) fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn key(out: &mut Vec<u8>, tag: u32, wire: u32) {
    varint(out, u64::from(tag << 3 | wire));
}

/// Writes an integer or boolean field.
pub(super) fn int(out: &mut Vec<u8>, tag: u32, n: i64) {
    key(out, tag, 0);
    varint(out, n as u64);
}

/// Writes a double field.
pub(super) fn double(out: &mut Vec<u8>, tag: u32, n: f64) {
    key(out, tag, 1);
    out.extend_from_slice(&n.to_le_bytes());
}

/// Writes a bytes field.
pub(super) fn bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    key(out, tag, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Writes a string field.
pub(super) fn string(out: &mut Vec<u8>, tag: u32, value: &str) {
    bytes(out, tag, value.as_bytes());
}

/// Writes a message field: `body` appends the message, then its length is put before it.
pub(super) fn message<E>(out: &mut Vec<u8>, tag: u32, body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    key(out, tag, 2);
    let start = out.len();
    // Most messages are shorter than 128 bytes: one byte of length.
    out.push(0);
    body(out)?;
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return Ok(());
    }
    let mut prefix = Vec::with_capacity(5);
    varint(&mut prefix, length as u64);
    out.splice(start..=start, prefix);
    Ok(())
}

/// The value of one field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Reads the fields of a message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or(ProtoError::Malformed("unexpected EOF"))?;
        self.rest = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut n: u64 = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(ProtoError::Malformed("integer overflow"));
            }
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(ProtoError::Malformed("integer overflow"))
    }

    /// The next field's tag and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag != 0).ok_or(ProtoError::Malformed("illegal tag"))?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken"))),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtoError::Malformed("negative length found during unmarshaling"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken"))),
            3 | 4 => return Err(ProtoError::Malformed("groups are not supported")),
            _ => return Err(ProtoError::Malformed("illegal wireType")),
        };
        Ok(Some((tag, value)))
    }
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self, field: &str) -> Result<&'a [u8], ProtoError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtoError::field(field, "wrong wireType")),
        }
    }

    pub(super) fn text(self, field: &str) -> Result<&'a str, ProtoError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| ProtoError::field(field, "string field contains invalid UTF-8"))
    }

    pub(super) fn int(self, field: &str) -> Result<i64, ProtoError> {
        match self {
            Self::Varint(n) => Ok(n as i64),
            Self::Fixed32(n) => Ok(i64::from(n)),
            _ => Err(ProtoError::field(field, "wrong wireType")),
        }
    }

    pub(super) fn double(self, field: &str) -> Result<f64, ProtoError> {
        match self {
            Self::Fixed64(n) => Ok(f64::from_bits(n)),
            _ => Err(ProtoError::field(field, "wrong wireType")),
        }
    }
}
