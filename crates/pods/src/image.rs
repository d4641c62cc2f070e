//! Image names and pull policies: which name is asked for, when a pull is due, and the kubelet's words about it
//! (docs: "Images").

use crate::text::go_duration;
use kinds::api::core::v1::Container;

/// Why a container waits for its image.
pub mod waiting {
    pub const ERR_IMAGE_PULL: &str = "ErrImagePull";
    pub const BACK_OFF: &str = "ImagePullBackOff";
    pub const NEVER_PULL: &str = "ErrImageNeverPull";
    pub const INVALID_NAME: &str = "InvalidImageName";
    pub const INSPECT: &str = "ImageInspectError";
}

/// Checks an image name as the reference grammar has it; gives it back with its default tag.
///
/// # Errors
/// The kubelet's message of an `InvalidImageName`.
pub fn with_default_tag(image: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        let cause = format!("couldn't parse image name \"{image}\": invalid reference format{why}");
        format!("Failed to apply default image tag \"{image}\": {cause}")
    };
    if image.is_empty() || image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong(""));
    }
    let (rest, digest) = match image.split_once('@') {
        Some((r, d)) => (r, Some(d)),
        None => (image, None),
    };
    if digest.is_some_and(|d| !is_digest(d)) {
        return Err(wrong(""));
    }
    let slash = rest.rfind('/').map_or(0, |i| i + 1);
    let (name, tag) = match rest[slash..].rfind(':') {
        Some(i) => (&rest[..slash + i], Some(&rest[slash + i + 1..])),
        None => (rest, None),
    };
    if tag.is_some_and(|t| !is_tag(t)) {
        return Err(wrong(""));
    }
    let path = match name.split_once('/') {
        Some((host, path)) if is_host(host) => path,
        _ => name,
    };
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        let shown = if path.contains('/') { path.to_owned() } else { format!("library/{path}") };
        return Err(wrong(&format!(": repository name ({shown}) must be lowercase")));
    }
    if path.split('/').any(|p| !is_component(p)) {
        return Err(wrong(""));
    }
    Ok(if tag.is_none() && digest.is_none() { format!("{image}:latest") } else { image.to_owned() })
}

fn is_host(first: &str) -> bool {
    first.contains('.') || first.contains(':') || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn is_tag(t: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    !t.is_empty() && t.len() <= 128 && word(t.as_bytes()[0]) && t.bytes().all(|c| word(c) || c == b'.' || c == b'-')
}

fn is_digest(d: &str) -> bool {
    d.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    })
}

fn is_component(p: &str) -> bool {
    let alnum = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = p.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alnum(*first) && alnum(*last) && bytes.iter().all(|c| alnum(*c) || matches!(c, b'.' | b'_' | b'-')) && !p.contains("..")
}

/// What is to be done for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is there and may be used.
    Nothing,
    Pull,
    /// Not there, and not to be pulled.
    Missing,
}

/// The verdict of the pull policy.
#[must_use]
pub fn need(container: &Container, present: bool) -> Need {
    need_by(container.image_pull_policy.as_deref(), present)
}

/// The same for a policy by itself.
#[must_use]
pub fn need_by(policy: Option<&str>, present: bool) -> Need {
    match policy.unwrap_or("IfNotPresent") {
        "Never" if present => Need::Nothing,
        "Never" => Need::Missing,
        "Always" => Need::Pull,
        _ if present => Need::Nothing,
        _ => Need::Pull,
    }
}

/// `Container image "x" already present on machine and can be accessed by the pod`.
#[must_use]
pub fn present_text(image: &str) -> String {
    format!("Container image \"{image}\" already present on machine and can be accessed by the pod")
}

/// `Successfully pulled image "x" in 1.2s (1.2s including waiting). Image size: 12 bytes.`
#[must_use]
pub fn pulled_text(image: &str, took_ms: u64, waited_ms: u64, size_bytes: u64) -> String {
    let (took, waited) = (go_duration(took_ms), go_duration(waited_ms));
    format!("Successfully pulled image \"{image}\" in {took} ({waited} including waiting). Image size: {size_bytes} bytes.")
}
