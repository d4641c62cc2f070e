//! One line of a CRI log (docs: "Logging Architecture", the CRI logging format).

/// A line as it was written. `content` keeps its newline when the line was whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) stdout: bool,
    /// More of the same line follows in the next entry.
    pub(crate) partial: bool,
    pub(crate) content: &'a [u8],
}

/// Reads one entry, with or without its newline; `None`: not an entry.
pub(crate) fn line(raw: &[u8]) -> Option<Line<'_>> {
    let mut parts = raw.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stdout = match parts.next()? {
        b"stdout" => true,
        b"stderr" => false,
        _ => return None,
    };
    let tags = parts.next()?;
    let content = parts.next().unwrap_or_default();
    let partial = tags.split(|b| *b == b':').next() == Some(b"P");
    let content = if partial { content.strip_suffix(b"\n").unwrap_or(content) } else { content };
    Some(Line { time, stdout, partial, content })
}

/// Every whole entry of a buffer.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
    bytes.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")).filter_map(line).collect()
}
