//! Links of pages that the API server relays: absolute paths in HTML and in redirects get the path of the proxy in
//! front, so that a browser that came through `…/proxy/` stays there (docs: "Access Services Running on Clusters").

#[cfg(test)]
mod tests;

/// A tag that does not end within this many bytes is passed on as it is.
const TAG_BYTES_MAX: usize = 64 << 10;

/// Which attributes of which elements hold a link.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is text, whatever it looks like.
const TEXTUAL: &[&str] = &["script", "style", "textarea", "title"];

/// Where a relayed page was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The path up to and with `proxy`.
    pub(crate) prefix: String,
    /// The host that the client asked.
    pub(crate) host: String,
}

impl Place {
    /// The link as the client must follow it; `None`: as it stands.
    pub(crate) fn moved(&self, link: &str) -> Option<String> {
        let (host, path) = match link.split_once("://") {
            Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
                rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
            }
            _ => match link.strip_prefix("//") {
                Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
                None => ("", link),
            },
        };
        let own = host.is_empty() || host == self.host;
        if !own || !path.starts_with('/') || path.starts_with(&self.prefix) {
            return None;
        }
        Some(format!("{}{}{path}", &link[..link.len() - path.len()], self.prefix))
    }
}

/// Rewrites a page as it passes through.
pub(crate) struct Rewriter {
    place: Place,
    /// What has come and cannot be passed on yet: the beginning of a tag.
    held: Vec<u8>,
    /// Inside an element of text, or a comment: what ends it.
    until: Option<Vec<u8>>,
}

/// The first place of `needle`, without regard to the case of letters.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w.eq_ignore_ascii_case(needle))
}

/// Where the tag that begins `text` ends (after its `>`), quotes respected.
fn tag_end(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (i, b) in text.iter().enumerate() {
        match (quote, b) {
            (None, b'>') => return Some(i + 1),
            (None, b'"' | b'\'') => quote = Some(*b),
            (Some(q), b) if q == *b => quote = None,
            _ => {}
        }
    }
    None
}

impl Rewriter {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, held: Vec::new(), until: None }
    }

    /// Takes the next bytes; gives what can go out.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(held.len());
        let mut rest = &held[..];
        while !rest.is_empty() {
            let Some(taken) = self.step(rest, &mut out) else { break };
            rest = &rest[taken..];
        }
        self.held = rest.to_vec();
        out
    }

    /// What is left at the end.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.held
    }

    /// Passes on one piece; gives its length, or `None` when more bytes are needed.
    fn step(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        if let Some(end) = &self.until {
            let taken = match find(rest, end) {
                Some(at) => {
                    let taken = at + end.len();
                    self.until = None;
                    taken
                }
                // The end may be cut in two.
                None => rest.len().saturating_sub(end.len() - 1),
            };
            out.extend_from_slice(&rest[..taken]);
            return Some(taken).filter(|t| *t > 0);
        }
        if rest[0] != b'<' {
            let text = rest.iter().position(|b| *b == b'<').unwrap_or(rest.len());
            out.extend_from_slice(&rest[..text]);
            return Some(text);
        }
        if rest.len() < 4 && b"<!--".starts_with(rest) {
            return None;
        }
        if rest.starts_with(b"<!--") {
            self.until = Some(b"-->".to_vec());
            out.extend_from_slice(b"<!--");
            return Some(4);
        }
        match tag_end(rest) {
            Some(end) => {
                self.tag(&rest[..end], out);
                Some(end)
            }
            None if rest.len() > TAG_BYTES_MAX => {
                out.push(b'<');
                Some(1)
            }
            None => None,
        }
    }

    fn tag(&mut self, tag: &[u8], out: &mut Vec<u8>) {
        let Ok(text) = std::str::from_utf8(tag) else { return out.extend_from_slice(tag) };
        let inner = &text[1..text.len() - 1];
        let end = inner.find(|c: char| c.is_ascii_whitespace() || c == '/').unwrap_or(inner.len());
        let name = inner[..end].to_ascii_lowercase();
        if TEXTUAL.contains(&name.as_str()) && !inner.ends_with('/') {
            self.until = Some(format!("</{name}").into_bytes());
        }
        match LINKS.iter().find(|(n, _)| *n == name) {
            Some((_, wanted)) => {
                out.extend_from_slice(text[..=end].as_bytes());
                self.attributes(&text[end + 1..], wanted, out);
            }
            None => out.extend_from_slice(tag),
        }
    }

    /// The rest of a tag: attributes that hold links are moved, all else stays to the byte.
    fn attributes(&self, mut rest: &str, wanted: &[&str], out: &mut Vec<u8>) {
        while let Some(equals) = rest.find('=') {
            let (before, after) = rest.split_at(equals + 1);
            let name = before[..equals].trim_end().rsplit(|c: char| c.is_ascii_whitespace() || c == '/').next().unwrap_or_default();
            let gap = after.len() - after.trim_start().len();
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(after[..gap].as_bytes());
            let value = &after[gap..];
            let (open, value) = match value.chars().next() {
                Some(q @ ('"' | '\'')) => (Some(q), &value[1..]),
                _ => (None, value),
            };
            let length = match open {
                Some(q) => value.find(q),
                None => value.find(|c: char| c.is_ascii_whitespace() || c == '>'),
            };
            let length = length.unwrap_or(value.len());
            let link = wanted.iter().any(|w| w.eq_ignore_ascii_case(name));
            let moved = Some(&value[..length]).filter(|_| link).and_then(|v| self.place.moved(v));
            out.extend(open.map(|q| q as u8));
            out.extend_from_slice(moved.as_deref().unwrap_or(&value[..length]).as_bytes());
            rest = &value[length..];
            if let Some(q) = open.filter(|q| rest.starts_with(*q)) {
                out.push(q as u8);
                rest = &rest[1..];
            }
        }
        out.extend_from_slice(rest.as_bytes());
    }
}
