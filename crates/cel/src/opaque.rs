//! Values of the Kubernetes libraries that are none of the language's own types, and the port through which an expression
//! asks whether somebody may do something (KEP-3488, "Secondary authorization").

use crate::library::url::Url;
use ipnet::IpNet;
use kinds::Quantity;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A question that an expression asks the authorizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Another subject than the requester: a service account's namespace and name.
    pub service_account: Option<(String, String)>,
    /// A non-resource path.
    pub path: Option<String>,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: Option<String>,
    pub label_selector: Option<String>,
}

/// The authorizer's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// Who decides what the requester may do.
pub trait Authorizer {
    /// The answer to a question.
    fn decide(&self, question: &Question) -> Decision;
}

/// What stage of asking a value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
}

/// A question in the making.
#[derive(Clone)]
pub struct Asking<'a> {
    pub stage: Stage,
    pub question: Arc<Question>,
    pub authorizer: &'a dyn Authorizer,
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.question)
    }
}

/// A value of a library.
#[derive(Clone, Debug)]
pub enum Opaque<'a> {
    Url(Arc<Url>),
    Ip(IpAddr),
    Cidr(IpNet, IpAddr),
    Quantity(Arc<Quantity>),
    Semver(Arc<semver::Version>),
    Format(&'static str),
    Asking(Asking<'a>),
    Decision(Arc<Decision>),
}

impl Opaque<'_> {
    /// The name of its type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Asking(a) => match a.stage {
                Stage::Authorizer => "kubernetes.authorization.Authorizer",
                Stage::Path => "kubernetes.authorization.PathCheck",
                Stage::Group => "kubernetes.authorization.GroupCheck",
                Stage::Resource => "kubernetes.authorization.ResourceCheck",
            },
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a, x), Self::Cidr(b, y)) => a == b && x == y,
            (Self::Quantity(a), Self::Quantity(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a.cmp_precedence(b).is_eq(),
            (Self::Format(a), Self::Format(b)) => a == b,
            (Self::Decision(a), Self::Decision(b)) => a == b,
            _ => false,
        }
    }
}
