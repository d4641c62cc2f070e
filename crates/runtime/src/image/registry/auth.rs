//! The two ways a registry asks who we are: `Basic`, and `Bearer` with a token service.
//!
//! Answers to RFC 7235 (challenges) and the distribution project's "Token Authentication Specification".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use url::Url;

use crate::cri::Auth;

/// One `WWW-Authenticate` challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Lower case: `basic`, `bearer`.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Parses one header value; what is malformed is left out.
    pub(super) fn parse(header: &str) -> Option<Challenge> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        let mut rest = rest.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = value(after);
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = after.trim_start_matches([',', ' ']);
        }
        Some(Challenge { scheme: scheme.to_ascii_lowercase(), parameters })
    }

    /// Where and how to ask for a token to pull `repository`.
    pub(super) fn token_url(&self, repository: &str) -> Option<Url> {
        let mut url = Url::parse(self.get("realm")?).ok()?;
        let scope = self.get("scope").map_or_else(|| format!("repository:{repository}:pull"), str::to_owned);
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.get("service") {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &scope);
        }
        Some(url)
    }
}

/// A token or quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[i + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

/// The `Authorization` value for a user name and a password.
pub(super) fn basic(auth: &Auth) -> Option<String> {
    if auth.username.is_empty() && auth.password.is_empty() {
        return None;
    }
    Some(format!("Basic {}", STANDARD.encode(format!("{}:{}", auth.username, auth.password))))
}

/// Reads a token service's answer.
pub(super) fn token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.token.or(answer.access_token).filter(|t| !t.is_empty())
}
