//! `--etcd-prefix`: under which name etcd holds what everybody here calls `/registry`. Order and ranges are kept, since a key's
//! first bytes alone are exchanged.

use bytes::Bytes;

use crate::api::KeyValue;

/// What keys begin with on this side.
const HERE: &[u8] = b"/registry";

/// The other name, if it is another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Root(Option<Bytes>);

impl Root {
    /// From the flag's text, with or without slashes around it; empty is the usual name.
    pub(super) fn new(prefix: &str) -> Self {
        let inner = prefix.trim_matches('/');
        if inner.is_empty() && prefix.is_empty() || inner.as_bytes() == &HERE[1..] {
            return Self(None);
        }
        Self(Some(if inner.is_empty() { Bytes::new() } else { format!("/{inner}").into() }))
    }

    /// A key as etcd has it.
    pub(super) fn outward(&self, key: Bytes) -> Bytes {
        match &self.0 {
            Some(there) => exchanged(key, HERE, there),
            None => key,
        }
    }

    /// A key as it is called here.
    pub(super) fn inward(&self, key: Bytes) -> Bytes {
        match &self.0 {
            Some(there) => exchanged(key, there, HERE),
            None => key,
        }
    }

    /// A pair of etcd's with its key as it is called here.
    pub(super) fn pair(&self, kv: KeyValue) -> KeyValue {
        KeyValue { key: self.inward(kv.key), ..kv }
    }
}

fn exchanged(key: Bytes, from: &[u8], to: &[u8]) -> Bytes {
    match key.strip_prefix(from) {
        Some(rest) => [to, rest].concat().into(),
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use bytes::Bytes;

    #[test]
    fn keys_and_range_ends_change_their_first_part() {
        let root = Root::new("/teams/a/");
        let out = |k: &'static str| root.outward(Bytes::from_static(k.as_bytes()));
        assert_eq!((out("/registry/pods/x"), out("/registry0"), out("/other")), ("/teams/a/pods/x".into(), "/teams/a0".into(), "/other".into()));
        assert_eq!(root.inward("/teams/a/pods/x".into()), "/registry/pods/x");
        for same in ["", "/registry", "registry/"] {
            assert_eq!(Root::new(same).outward("/registry/x".into()), "/registry/x", "{same:?}");
        }
        assert_eq!(Root::new("/").outward("/registry/x".into()), "/x");
    }
}
