//! What a request is about, from its method, path and query alone: the attributes that authorization, fairness and audit
//! look at. Docs: "Authorization Overview: Request Verbs", "Kubernetes API Concepts: Resource URIs".

use http::Method;

/// The parsed request line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the method in
    /// lower case.
    pub verb: &'static str,
    /// Whether it is about a resource at all.
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// What follows the subresource (`proxy/…`), slash first, or empty.
    pub rest: String,
    /// Parsed query, in order, decoded.
    pub query: Vec<(String, String)>,
}

/// Subresources of a namespace that are not resources inside of it.
const NAMESPACE_SUBRESOURCES: &[&str] = &["status", "finalize"];

impl RequestInfo {
    /// Parses a request line.
    #[must_use]
    pub fn parse(method: &Method, path: &str, query: &str) -> Self {
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let mut info = Self { path: path.to_owned(), verb: plain_verb(method), query, ..Self::default() };
        let parts: Vec<&str> = path.trim_matches('/').split('/').filter(|p| !p.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", version, rest @ ..] => {
                info.version = (*version).to_owned();
                rest
            }
            ["apis", group, version, rest @ ..] => {
                (info.group, info.version) = ((*group).to_owned(), (*version).to_owned());
                rest
            }
            _ => return info,
        };
        if rest.is_empty() {
            return info;
        }
        info.is_resource = true;
        info.verb = resource_verb(method);
        let (watched, rest) = match rest {
            ["watch", more @ ..] if !more.is_empty() => (true, more),
            other => (false, other),
        };
        info.place(rest);
        info.settle_verb(method, watched);
        info
    }

    fn place(&mut self, rest: &[&str]) {
        let decode = |s: &str| percent_decode(s);
        let tail = match rest {
            ["namespaces", ns, sub, ..] if NAMESPACE_SUBRESOURCES.contains(sub) => {
                self.namespace = decode(ns);
                rest
            }
            ["namespaces", ns, tail @ ..] if !tail.is_empty() => {
                self.namespace = decode(ns);
                tail
            }
            ["namespaces", ns] => {
                self.namespace = decode(ns);
                rest
            }
            other => other,
        };
        let mut tail = tail.iter();
        self.resource = tail.next().map(|s| decode(s)).unwrap_or_default();
        self.name = tail.next().map(|s| decode(s)).unwrap_or_default();
        self.subresource = tail.next().map(|s| decode(s)).unwrap_or_default();
        let rest: Vec<&str> = tail.copied().collect();
        if !rest.is_empty() {
            self.rest = format!("/{}", rest.join("/"));
        }
        if self.subresource == "proxy" && self.path.ends_with('/') {
            self.rest.push('/');
        }
    }

    fn settle_verb(&mut self, method: &Method, watched: bool) {
        let collection = self.name.is_empty();
        if method == Method::GET || method == Method::HEAD {
            let watch = watched || self.flag("watch");
            // A watch of a single name through `fieldSelector` counts for that name in authorization.
            if collection || watched {
                self.verb = if watch { "watch" } else { "list" };
                if let Some(name) = self.param("fieldSelector").and_then(single_name) {
                    self.name = name;
                }
            }
        }
        if method == Method::DELETE && collection {
            self.verb = "deletecollection";
        }
    }

    /// Whether the URL names an object, and not a collection narrowed by a selector.
    #[must_use]
    pub fn is_collection(&self) -> bool {
        matches!(self.verb, "list" | "watch" | "deletecollection") || (self.verb == "create" && self.subresource.is_empty())
    }

    /// Whether the request streams as long as its client likes: no seats, no timeout.
    #[must_use]
    pub fn is_long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch" || matches!(self.subresource.as_str(), "attach" | "exec" | "log" | "portforward" | "proxy"))
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// All values of a query parameter.
    pub fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// A boolean query parameter: present and neither `0` nor `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|v| !matches!(v, "0" | "false" | "False" | "f" | "F" | "FALSE"))
    }
}

fn single_name(selector: &str) -> Option<String> {
    let terms = kinds::selector::parse_fields(selector).ok()?;
    let found = terms.into_iter().find(|t| t.equal && t.field == "metadata.name")?;
    (!found.value.is_empty()).then_some(found.value)
}

fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let (mut out, bytes, mut i) = (Vec::with_capacity(text.len()), text.as_bytes(), 0);
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(b) => {
                out.push(b);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn plain_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, path: &str) -> (String, String) {
        let (p, q) = path.split_once('?').unwrap_or((path, ""));
        let i = RequestInfo::parse(method, p, q);
        let what = [i.group, i.version, i.namespace, i.resource, i.subresource, i.name].join("|");
        (i.verb.to_owned(), what)
    }

    #[test]
    fn paths_and_verbs() {
        for (method, path, verb, what) in [
            (Method::GET, "/api/v1/namespaces", "list", "|v1||namespaces||"),
            (Method::GET, "/api/v1/namespaces/a", "get", "|v1|a|namespaces||a"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "update", "|v1|a|namespaces|finalize|a"),
            (Method::GET, "/api/v1/namespaces/a/pods", "list", "|v1|a|pods||"),
            (Method::GET, "/api/v1/namespaces/a/pods?watch=1", "watch", "|v1|a|pods||"),
            (Method::GET, "/api/v1/namespaces/a/pods/p/log", "get", "|v1|a|pods|log|p"),
            (Method::POST, "/api/v1/namespaces/a/pods/p/exec", "create", "|v1|a|pods|exec|p"),
            (Method::DELETE, "/apis/apps/v1/namespaces/a/deployments", "deletecollection", "apps|v1|a|deployments||"),
            (Method::GET, "/apis/apps/v1/watch/deployments", "watch", "apps|v1||deployments||"),
            (Method::GET, "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list", "|v1||pods||x"),
            (Method::GET, "/healthz", "get", "|||||"),
        ] {
            assert_eq!(parse(&method, path), (verb.to_owned(), what.to_owned()), "{method} {path}");
        }
    }
}
