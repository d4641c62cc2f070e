//! What the server serves (docs: "Kubernetes API Concepts", aggregated discovery), and finding a resource by what a person
//! types: plural, singular, short name, kind, with or without version and group.

use client::{Client, Error, RequestBody};
use http::Method;
use serde_json::Value;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One resource in one group-version.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Mapping {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    pub(crate) subresources: Vec<String>,
}

impl Mapping {
    /// `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    fn suffix(&self) -> String {
        if self.group.is_empty() { String::new() } else { format!(".{}", self.group) }
    }

    /// `deployments.apps`.
    pub(crate) fn full_plural(&self) -> String {
        format!("{}{}", self.plural, self.suffix())
    }

    /// `deployment.apps`.
    pub(crate) fn full_singular(&self) -> String {
        format!("{}{}", self.kind.to_lowercase(), self.suffix())
    }

    /// `deployment.apps/web`.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}/{name}", self.full_singular())
    }

    /// The path of the collection, in a namespace if there is one and the resource is in namespaces.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        match namespace.filter(|n| self.namespaced && !n.is_empty()) {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), crate::query::escape(name))
    }

    /// Whether the server answers that verb.
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// Everything that a server serves, preferred versions first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Discovery {
    pub(crate) all: Vec<Mapping>,
    /// The first version of each group.
    preferred: Vec<(String, String)>,
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

impl Discovery {
    /// Asks the server.
    pub(crate) async fn fetch(client: &Client) -> Result<Self, Error> {
        let ask = |path: &'static str| client.json(Method::GET, path, ACCEPT, RequestBody::Empty);
        let (core, groups) = tokio::join!(ask("/api"), ask("/apis"));
        let mut this = Self::default();
        for answer in [core?, groups?] {
            for group in answer["items"].as_array().into_iter().flatten() {
                this.add_group(group);
            }
        }
        Ok(this)
    }

    fn add_group(&mut self, group: &Value) {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for (i, version) in group["versions"].as_array().into_iter().flatten().enumerate() {
            let v = version["version"].as_str().unwrap_or_default();
            if i == 0 {
                self.preferred.push((name.to_owned(), v.to_owned()));
            }
            for resource in version["resources"].as_array().into_iter().flatten() {
                let text = |k: &str| resource[k].as_str().unwrap_or_default().to_owned();
                let subresources = resource["subresources"].as_array().into_iter().flatten();
                self.all.push(Mapping {
                    group: name.to_owned(),
                    version: v.to_owned(),
                    kind: resource["responseKind"]["kind"].as_str().unwrap_or_default().to_owned(),
                    plural: text("resource"),
                    singular: text("singularResource"),
                    namespaced: resource["scope"] == "Namespaced",
                    short_names: strings(&resource["shortNames"]),
                    categories: strings(&resource["categories"]),
                    verbs: strings(&resource["verbs"]),
                    subresources: subresources.filter_map(|s| s["subresource"].as_str()).map(str::to_owned).collect(),
                });
            }
        }
    }

    /// Every group-version, in the server's order.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for mapping in &self.all {
            let version = mapping.api_version();
            if !out.contains(&version) {
                out.push(version);
            }
        }
        out
    }

    /// Whether a mapping is in its group's preferred version.
    pub(crate) fn is_preferred(&self, mapping: &Mapping) -> bool {
        self.preferred.iter().any(|(g, v)| *g == mapping.group && *v == mapping.version)
    }

    /// The resource that a word names: `po`, `deploy.apps`, `deployments.v1.apps`, `Deployment`.
    pub(crate) fn find(&self, word: &str) -> Option<&Mapping> {
        let word = word.to_lowercase();
        let (name, rest) = word.split_once('.').unwrap_or((&word, ""));
        let fits = |m: &&Mapping| {
            let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
            rest.is_empty() || m.group == rest || (rest.ends_with('.') && m.version == rest.trim_end_matches('.')) || (m.version == version && m.group == group) || (!m.group.is_empty() && m.group.starts_with(rest) && m.group.as_bytes().get(rest.len()) == Some(&b'.'))
        };
        let candidates: Vec<&Mapping> = self.all.iter().filter(fits).collect();
        let by = |test: &dyn Fn(&Mapping) -> bool| candidates.iter().find(|m| test(m)).copied();
        by(&|m| m.plural == name || m.singular == name)
            .or_else(|| by(&|m| m.short_names.iter().any(|s| s == name)))
            .or_else(|| by(&|m| m.kind.to_lowercase() == name))
    }

    /// The resource of a kind.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Mapping> {
        self.all.iter().find(|m| m.kind == kind && m.api_version() == api_version)
    }

    /// The resources of a category such as `all`.
    pub(crate) fn category(&self, name: &str) -> Vec<&Mapping> {
        self.all.iter().filter(|m| m.categories.iter().any(|c| c == name) && self.is_preferred(m)).collect()
    }
}
