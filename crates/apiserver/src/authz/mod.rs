//! Who may do what: the authorizers in the order that they were configured. Each allows, denies, or has no opinion; the
//! first that has one decides, and nobody's opinion is a refusal. Docs: "Authorization", "Using Webhook Authorization".

mod abac;
mod config;
mod hook;
pub(crate) mod selectors;

#[cfg(test)]
mod tests;

use arc_swap::ArcSwap;
use base::metrics::{Counter, Family, Registry as MetricRegistry};
use cache::Snapshot;
pub use abac::Policies;
pub use config::{Configuration, ConnectionInfo, Entry, Kind, WebhookSettings};
use hook::Hook;
use rules::User;
use rules::rbac::{self, Attributes, Verdict};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a configuration file is looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// One authorizer's opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    Allow(String),
    Deny(String),
    /// With why, if there is something to say.
    None(String),
}

enum Authorizer {
    Node,
    Rbac,
    AlwaysAllow,
    AlwaysDeny,
    Abac(Policies),
    Webhook(Box<Hook>),
}

struct Named {
    name: String,
    authorizer: Authorizer,
}

/// The chain.
pub struct Authorizers {
    chain: ArcSwap<Vec<Named>>,
    decisions: Arc<Family<Counter>>,
}

impl Authorizers {
    /// From the flags or the file; a file is followed from then on.
    ///
    /// # Errors
    /// Webhooks that cannot be reached by what is said of them; expressions that do not compile.
    pub fn new(configuration: &Configuration, file: Option<PathBuf>, metrics: &MetricRegistry) -> Result<Arc<Self>, String> {
        let help = "Total number of terminal decisions made by an authorizer split by authorizer type, name, and decision.";
        let decisions = metrics.counter("apiserver_authorization_decisions_total", help, &["decision", "name", "type"]);
        let this = Arc::new(Self { chain: ArcSwap::from_pointee(build(configuration)?), decisions });
        if let Some(file) = file {
            tokio::spawn(follow(Arc::downgrade(&this), file));
        }
        Ok(this)
    }

    /// Decides.
    pub async fn decide(&self, snapshot: &Snapshot, user: &User, a: &Attributes) -> Verdict {
        if user.in_group(rbac::MASTERS) {
            return Verdict { allowed: true, ..Verdict::default() };
        }
        let chain = self.chain.load_full();
        let mut reasons = Vec::new();
        for named in chain.iter() {
            let opinion = match &named.authorizer {
                Authorizer::Node => rbac::by_node(snapshot, user, a).map_or(Opinion::None(String::new()), |r| match r {
                    Ok(()) => Opinion::Allow(String::new()),
                    Err(why) => Opinion::None(why),
                }),
                Authorizer::Rbac => match rbac::by_roles(snapshot, user, a) {
                    Some(reason) => Opinion::Allow(reason),
                    None => Opinion::None(String::new()),
                },
                Authorizer::AlwaysAllow => Opinion::Allow(String::new()),
                Authorizer::Abac(policies) => match policies.allow(user, a) {
                    true => Opinion::Allow(String::new()),
                    false => Opinion::None("No policy matched.".to_owned()),
                },
                Authorizer::AlwaysDeny => Opinion::None("Everything is forbidden.".to_owned()),
                Authorizer::Webhook(hook) => Box::pin(hook.decide(user, a)).await,
            };
            match opinion {
                Opinion::Allow(reason) => {
                    self.count("allowed", named);
                    return Verdict { allowed: true, reason, ..Verdict::default() };
                }
                Opinion::Deny(reason) => {
                    self.count("denied", named);
                    reasons.push(reason);
                    return Verdict { denied: true, reason: told(&reasons), ..Verdict::default() };
                }
                Opinion::None(why) => reasons.push(why),
            }
        }
        Verdict { reason: told(&reasons), ..Verdict::default() }
    }

    /// Whether some authorizer cannot list what a user may do.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.chain.load().iter().any(|n| matches!(n.authorizer, Authorizer::Webhook(_)))
    }

    fn count(&self, decision: &str, named: &Named) {
        let kind = match named.authorizer {
            Authorizer::Node => "Node",
            Authorizer::Rbac => "RBAC",
            Authorizer::AlwaysAllow => "AlwaysAllow",
            Authorizer::Abac(_) => "ABAC",
            Authorizer::AlwaysDeny => "AlwaysDeny",
            Authorizer::Webhook(_) => "Webhook",
        };
        self.decisions.with(&[decision, &named.name, kind]).inc();
    }
}

/// Kubernetes joins the reasons by lines.
fn told(reasons: &[String]) -> String {
    reasons.iter().filter(|r| !r.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn build(configuration: &Configuration) -> Result<Vec<Named>, String> {
    let one = |e: &Entry| {
        let authorizer = match e.kind {
            Kind::Node => Authorizer::Node,
            Kind::Rbac => Authorizer::Rbac,
            Kind::AlwaysAllow => Authorizer::AlwaysAllow,
            Kind::Abac => Authorizer::Abac(configuration.policies.clone()),
            Kind::AlwaysDeny => Authorizer::AlwaysDeny,
            Kind::Webhook => {
                let settings = e.webhook.as_ref().ok_or_else(|| format!("authorizer {:?}: webhook: Required value", e.name))?;
                Authorizer::Webhook(Box::new(Hook::new(settings).map_err(|why| format!("authorizer {:?}: {why}", e.name))?))
            }
        };
        Ok(Named { name: e.name.clone(), authorizer })
    };
    configuration.authorizers.iter().map(one).collect()
}

async fn follow(this: std::sync::Weak<Authorizers>, file: PathBuf) {
    let mut before = tokio::fs::read_to_string(&file).await.unwrap_or_default();
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        let Some(this) = this.upgrade() else { return };
        let Ok(text) = tokio::fs::read_to_string(&file).await else { continue };
        if text == before {
            continue;
        }
        before.clone_from(&text);
        match Configuration::parse(&text).and_then(|c| build(&c)) {
            Ok(chain) => {
                this.chain.store(Arc::new(chain));
                tracing::info!("The authorization configuration was loaded anew");
            }
            Err(e) => tracing::warn!(err = %e, "The authorization configuration is wrong; the last one stays"),
        }
    }
}
