//! The port through which admission calls out. Whoever implements it knows HTTPS; the registry knows when to call.

use crate::registry::Caller;
use cache::Snapshot;
use kinds::api::core::v1::Pod;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{DeleteOptions, Fut, Kind, Object, WriteOptions};
use rules::{Ctx, Request};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The two kinds of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Mutate,
    Validate,
}

/// In which version a request speaks of its resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Speaks {
    /// The one that is stored (or, for a custom resource, the one that the object itself names).
    #[default]
    Stored,
    /// Another served kind of the same objects.
    View(Kind),
    /// A version of a custom resource.
    Version(Arc<str>),
}

impl Speaks {
    /// The other served kind, when it is one.
    #[must_use]
    pub fn view(&self) -> Option<Kind> {
        match self {
            Self::View(kind) => Some(*kind),
            _ => None,
        }
    }
}

/// The options of the verb.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    Create(&'a WriteOptions),
    Update(&'a WriteOptions),
    Delete(&'a DeleteOptions),
    Nothing,
}

impl Given<'_> {
    /// Whether nothing is to be kept of it.
    #[must_use]
    pub fn dry_run(&self) -> bool {
        match self {
            Self::Create(o) | Self::Update(o) => o.dry_run,
            Self::Delete(o) => o.dry_run.as_ref().is_some_and(|d| !d.is_empty()),
            Self::Nothing => false,
        }
    }
}

/// What a CONNECT shows in place of an object: its options' kind (in core `v1`) and their tree.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    pub kind: &'a str,
    pub options: &'a Value,
}

/// One question to admission.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub ctx: &'a Ctx<'a>,
    pub request: &'a Request,
    pub caller: &'a Caller,
    pub given: Given<'a>,
    /// What an object goes through after it was changed: defaults, pruning.
    pub settle: &'a (dyn Fn(&mut Object) + Sync),
    pub connect: Option<Connect<'a>>,
}

/// What the webhooks that change remember of one request, for their second round ("reinvocation").
#[derive(Debug, Default)]
pub struct Round {
    /// Whether a webhook changed the object: then there is a second round, in-tree plugins included.
    pub changed: bool,
    /// Whether this is the second round.
    pub second: bool,
    /// Webhooks that were called and would be called again (`reinvocationPolicy: IfNeeded`).
    pub called: BTreeSet<String>,
    /// Those of them that saw an object that was changed after their call.
    pub due: BTreeSet<String>,
    /// The object as the webhooks left it.
    pub left: Option<Object>,
    /// The options of a CONNECT as the webhooks left them, if one changed them.
    pub options: Option<Value>,
}

impl Round {
    /// Begins the second round.
    pub(crate) fn again(&mut self) {
        self.second = true;
        self.changed = false;
    }
}

/// Admission webhooks.
pub trait Hooks: Send + Sync {
    /// Whether a webhook of that phase may be called for this. Cheap: it is asked for every write.
    fn concern(&self, phase: Phase, ask: &Ask<'_>) -> bool;

    /// Calls the webhooks that may change the object, one after the other. No object: a delete or a connect.
    fn mutate<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        object: Option<Object>,
        old: Option<&'a Object>,
        round: &'a mut Round,
    ) -> Fut<'a, Option<Object>>;

    /// Calls the webhooks that may refuse, all at once.
    fn validate<'a>(&'a self, ask: &'a Ask<'a>, object: Option<&'a Object>, old: Option<&'a Object>) -> Fut<'a, ()>;

    /// Asks the image policy about the images of a pod (plugin `ImagePolicyWebhook`). Without a policy everything passes.
    fn images<'a>(&'a self, ask: &'a Ask<'a>, pod: &'a Pod) -> Fut<'a, ()> {
        let _ = (ask, pod);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Turns custom resources into another version by the definition's conversion webhook; as many come back, in order.
    fn convert<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        crd: &'a CustomResourceDefinition,
        objects: Vec<Object>,
        to: &'a str,
    ) -> Fut<'a, Vec<Object>>;
}
