//! Where a walk over a schema stands: written out as a path only when something is wrong there.

use kinds::Path;

#[derive(Clone, Copy)]
enum Step<'a> {
    Root(&'a Path),
    Child(&'a At<'a>, &'static str),
    Key(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

/// A place in a schema, as the steps that lead there.
#[derive(Clone, Copy)]
pub(super) struct At<'a>(Step<'a>);

impl<'a> At<'a> {
    /// Where a walk begins.
    pub(super) const fn root(path: &'a Path) -> Self {
        Self(Step::Root(path))
    }
    /// A keyword of a schema.
    pub(super) const fn child(&'a self, name: &'static str) -> Self {
        Self(Step::Child(self, name))
    }
    /// An entry of a map.
    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self(Step::Key(self, key))
    }
    /// An element of a list.
    pub(super) const fn index(&'a self, i: usize) -> Self {
        Self(Step::Index(self, i))
    }
    /// The place, written out.
    pub(super) fn path(&self) -> Path {
        match self.0 {
            Step::Root(path) => path.clone(),
            Step::Child(up, name) => up.path().child(name),
            Step::Key(up, key) => up.path().key(key),
            Step::Index(up, i) => up.path().index(i),
        }
    }
}
