//! Identity by a front proxy: it shows a certificate of its own authority, and says in headers for whom it speaks.
//! Docs: "Authenticating: Authenticating Proxy".

use super::words;
use http::HeaderMap;
use rules::User;
use std::collections::BTreeMap;

/// Which proxies are believed, and where they say it.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Common names; none: any certificate of the authority.
    pub names: Vec<String>,
    pub user: Vec<String>,
    pub uid: Vec<String>,
    pub group: Vec<String>,
    pub extra_prefix: Vec<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        let one = |h: &str| vec![h.to_owned()];
        Self {
            names: one(super::FRONT_PROXY),
            user: one("x-remote-user"),
            uid: one("x-remote-uid"),
            group: one("x-remote-group"),
            extra_prefix: one("x-remote-extra-"),
        }
    }
}

impl Proxy {
    /// For whom a proxy of that name speaks. `None`: for nobody.
    pub(crate) fn user(&self, name: &str, headers: &HeaderMap) -> Option<User> {
        if !self.names.is_empty() && !self.names.iter().any(|n| n == name) {
            return None;
        }
        let first = |names: &[String]| {
            names.iter().find_map(|n| headers.get(n.to_lowercase()).map(words).filter(|v| !v.is_empty()))
        };
        let user = first(&self.user)?;
        let groups = self.group.iter().flat_map(|n| headers.get_all(n.to_lowercase())).map(words).collect();
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (header, value) in headers {
            let key = self.extra_prefix.iter().find_map(|p| header.as_str().strip_prefix(&p.to_lowercase()));
            if let Some(key) = key {
                extra.entry(super::unescape(key)).or_default().push(words(value));
            }
        }
        Some(User { name: user, uid: first(&self.uid).unwrap_or_default(), groups, extra })
    }
}
