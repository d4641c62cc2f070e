//! Image references: `redis` means `docker.io/library/redis:latest`.
//!
//! Answers to the distribution project's reference grammar and its "familiar name" normalisation, as the kubelet and
//! containerd apply it (Kubernetes: "Images / Image names").

use std::fmt;

use super::ImageError;
use super::digest::Digest;

/// Registry that bare names mean.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";
/// Longest repository path that the grammar allows.
const MAX_NAME_BYTES: usize = 255;
/// Longest tag that the grammar allows.
const MAX_TAG_BYTES: usize = 128;

/// A fully qualified image reference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `docker.io`, `registry.k8s.io`, `localhost:5000`.
    pub registry: String,
    /// `library/redis`.
    pub repository: String,
    /// The tag, when one was given or implied.
    pub tag: Option<String>,
    /// The digest, when one was given; it wins over the tag.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses and normalises; neither tag nor digest given means `latest`.
    pub fn parse(text: &str) -> Result<Reference, ImageError> {
        let bad = |why: &str| ImageError::InvalidReference { reference: text.to_owned(), why: why.to_owned() };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(Digest::parse(digest).map_err(|_| bad("invalid reference format"))?))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if name.is_empty() || tag.is_some_and(|t| !valid_tag(t)) {
            return Err(bad("invalid reference format"));
        }
        let (registry, path) = split_registry(name);
        if !valid_registry(&registry) {
            return Err(bad("invalid reference format"));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) && valid_repository(&path.to_ascii_lowercase()) {
            return Err(bad(&format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            )));
        }
        if !valid_repository(&path) {
            return Err(bad("invalid reference format"));
        }
        if path.len() > MAX_NAME_BYTES {
            return Err(bad("repository name must not be more than 255 characters"));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Reference { registry, repository: path, tag, digest })
    }

    /// `registry/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What the distribution protocol puts after `/manifests/`: the digest if there is one, else the tag.
    pub fn object(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The key under which an image is found by this reference: `name@digest` or `name:tag`.
    pub fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name()),
            None => format!("{}:{}", self.name(), self.object()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The first component is a registry when it has a dot or a port, is `localhost`, or has an upper-case letter.
fn split_registry(name: &str) -> (String, String) {
    if let Some((first, rest)) = name.split_once('/') {
        let upper = first.bytes().any(|b| b.is_ascii_uppercase());
        if first.contains(['.', ':']) || first == "localhost" || upper {
            let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
            let path = if registry == DEFAULT_REGISTRY && !rest.contains('/') {
                format!("library/{rest}")
            } else {
                rest.to_owned()
            };
            return (registry.to_owned(), path);
        }
        return (DEFAULT_REGISTRY.to_owned(), name.to_owned());
    }
    (DEFAULT_REGISTRY.to_owned(), format!("library/{name}"))
}

fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !tag.is_empty()
        && tag.len() <= MAX_TAG_BYTES
        && tag.bytes().enumerate().all(|(i, b)| word(b) || (i > 0 && (b == b'.' || b == b'-')))
}

fn valid_registry(host: &str) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((addr, port)) = rest.split_once(']') else { return false };
        return addr.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok()));
    } else {
        match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        }
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(|p| p.parse::<u16>().is_ok())
}

fn valid_repository(path: &str) -> bool {
    path.split('/').all(valid_component)
}

/// `[a-z0-9]+` runs separated by one `.`, one or two `_`, or any number of `-`.
fn valid_component(component: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !plain(*first) || !plain(*last) {
        return false;
    }
    bytes.split(|b| plain(*b)).all(|separator| {
        separator.is_empty()
            || matches!(separator, b"." | b"_" | b"__")
            || separator.iter().all(|b| *b == b'-')
    })
}
