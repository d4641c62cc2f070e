//! The paths of a resource: collections, objects, subresources and the deprecated watch paths, with Kubernetes' names for
//! every operation.

use super::definition::SCHEMAS;
use super::names::{self, title, with_article};
use super::operation::*;
use super::options::options;
use serde_json::{Value, json};

/// Methods of paths that connect to something else.
const CONNECT_METHODS: &[&str] = &["delete", "get", "head", "options", "patch", "post", "put"];
/// Groups and kinds whose deletion is answered with the object instead of a `Status`.
const ANSWER_DELETED: &[&str] =
    &["PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "ResourceQuota", "Service", "ServiceAccount"];

/// A subresource in one group-version.
pub(super) struct Sub {
    pub(super) name: String,
    pub(super) gvk: [String; 3],
    pub(super) model: String,
    pub(super) verbs: Vec<String>,
}

/// A resource in one group-version: built in or custom.
pub(super) struct Route {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) model: String,
    pub(super) list_model: String,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<String>,
    pub(super) subresources: Vec<Sub>,
    pub(super) custom: bool,
}

impl Route {
    /// A built-in resource.
    pub(super) fn builtin(r: &schema::Resource) -> Self {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let sub = |s: &schema::Subresource| Sub {
            name: s.name.to_owned(),
            gvk: [s.group.to_owned(), s.version.to_owned(), s.kind.to_owned()],
            model: schema::types().by_gvk(s.group, s.version, s.kind).map(|t| t.name().to_owned()).unwrap_or_default(),
            verbs: texts(&s.verbs),
        };
        Self {
            group: r.group.to_owned(),
            version: r.version.to_owned(),
            plural: r.plural.to_owned(),
            kind: r.kind.to_owned(),
            model: r.type_name.to_owned(),
            list_model: r.list_type_name.to_owned(),
            namespaced: r.namespaced,
            verbs: texts(&r.verbs),
            subresources: r.subresources.iter().map(sub).collect(),
            custom: false,
        }
    }

    fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// `/apis/apps/v1`.
    fn base(&self) -> String {
        base(&self.group, &self.version)
    }

    /// `/apis/apps/v1/namespaces/{namespace}/deployments`.
    fn collection(&self, watch: &str) -> String {
        let scope = if self.namespaced { "/namespaces/{namespace}" } else { "" };
        format!("{}{watch}{scope}/{}", self.base(), self.plural)
    }

    fn gvk(&self) -> [String; 3] {
        [self.group.clone(), self.version.clone(), self.kind.clone()]
    }

    fn media(&self) -> &'static [&'static str] {
        if self.custom { MEDIA_CUSTOM } else { MEDIA }
    }

    /// `verbAppsV1NamespacedDeployment`.
    fn id(&self, verb: &str, infix: &str, tail: &str) -> String {
        let scope = if self.namespaced { "Namespaced" } else { "" };
        format!("{verb}{}{infix}{scope}{}{tail}", names::version_title(&self.group, &self.version), self.kind)
    }

    fn scope(&self, name: bool) -> Vec<Value> {
        let mut all = Vec::new();
        if self.namespaced {
            all.push(in_path("namespace", "object name and auth scope, such as for teams and projects"));
        }
        if name {
            all.push(in_path("name", &format!("name of the {}", self.kind)));
        }
        all
    }

    fn operation(&self, action: &'static str, id: String, text: String, named: bool, own: &[&str]) -> Operation {
        let mut parameters = self.scope(named);
        parameters.extend(own.iter().map(|q| query(q)));
        parameters.push(query("pretty"));
        Operation {
            id,
            text,
            tag: names::version_tag(&self.group, &self.version),
            action: Some((action, self.gvk())),
            parameters,
            body: None,
            answers: OK,
            schema: refer(&self.model),
            media: self.media(),
        }
    }

    /// Every path of the resource.
    pub(super) fn paths(&self) -> Vec<(String, Value)> {
        let mut all = vec![(self.collection(""), path_item(self.collection_operations()))];
        let object = self.collection("") + "/{name}";
        all.push((object.clone(), path_item(self.object_operations())));
        for sub in &self.subresources {
            all.extend(self.subresource(sub, &format!("{object}/{}", sub.name)));
        }
        if self.namespaced && self.has("list") {
            let mut list = self.list("", true);
            list.parameters.retain(|p| p["name"] != "namespace");
            all.push((format!("{}/{}", self.base(), self.plural), path_item(vec![("get", list)])));
        }
        if self.has("watch") && !self.custom {
            all.extend(self.watches());
        }
        all.retain(|(_, item)| item.as_object().is_some_and(|m| !m.is_empty()));
        all
    }

    fn list(&self, tail: &str, all_namespaces: bool) -> Operation {
        let id = if all_namespaces {
            format!("list{}{}ForAllNamespaces", names::version_title(&self.group, &self.version), self.kind)
        } else {
            self.id("list", "", tail)
        };
        let what = if self.has("watch") { "list or watch" } else { "list" };
        let mut list = self.operation("list", id, format!("{what} objects of kind {}", self.kind), false, LIST);
        list.schema = refer(&self.list_model);
        if !self.custom {
            list.media = MEDIA_LIST;
        }
        list
    }

    fn collection_operations(&self) -> Vec<(&'static str, Operation)> {
        let mut all = Vec::new();
        if self.has("deletecollection") {
            let text = format!("delete collection of {}", self.kind);
            let id = self.id("delete", "Collection", "");
            let mut o = self.operation("deletecollection", id, text, false, DELETE_COLLECTION);
            if !self.custom {
                o.body = Some((DELETE_OPTIONS.to_owned(), MEDIA_ANY, false));
            }
            o.schema = refer(STATUS);
            all.push(("delete", o));
        }
        if self.has("list") {
            all.push(("get", self.list("", false)));
        }
        if self.has("create") {
            let text = format!("create {}", with_article(&self.kind));
            let mut o = self.operation("post", self.id("create", "", ""), text, false, WRITE);
            o.body = Some((self.model.clone(), self.written(), true));
            o.answers = OK_CREATED_ACCEPTED;
            all.push(("post", o));
        }
        all
    }

    fn written(&self) -> &'static [&'static str] {
        if self.custom { MEDIA_CUSTOM } else { MEDIA_ANY }
    }

    fn object_operations(&self) -> Vec<(&'static str, Operation)> {
        let mut all = Vec::new();
        if self.has("delete") {
            let text = format!("delete {}", with_article(&self.kind));
            let mut o = self.operation("delete", self.id("delete", "", ""), text, true, DELETE);
            o.body = Some((DELETE_OPTIONS.to_owned(), self.written(), false));
            o.answers = OK_ACCEPTED;
            o.schema = refer(if self.answers_deleted() { &self.model } else { STATUS });
            all.push(("delete", o));
        }
        let verbs = ["get", "patch", "update"].into_iter().filter(|v| self.has(v));
        all.extend(verbs.map(|v| self.verb(v, &self.model, self.gvk(), "", "the specified ")));
        all
    }

    fn answers_deleted(&self) -> bool {
        match self.group.as_str() {
            "" => ANSWER_DELETED.contains(&self.kind.as_str()),
            "resource.k8s.io" => true,
            "storage.k8s.io" => self.kind != "CSIStorageCapacity",
            _ => false,
        }
    }

    /// get, patch or update of an object or of a subresource.
    fn verb(&self, verb: &str, model: &str, gvk: [String; 3], tail: &str, of: &str) -> (&'static str, Operation) {
        let kind = &self.kind;
        let (method, mut o) = match verb {
            "patch" => {
                let text = format!("partially update {of}{kind}");
                let mut o = self.operation("patch", self.id("patch", "", tail), text, true, PATCHING);
                let forms = if self.custom { MEDIA_PATCH_CUSTOM } else { MEDIA_PATCH };
                o.body = Some((PATCH.to_owned(), forms, true));
                o.answers = if self.custom { OK } else { OK_CREATED };
                ("patch", o)
            }
            "update" => {
                let text = format!("replace {of}{kind}");
                let mut o = self.operation("put", self.id("replace", "", tail), text, true, WRITE);
                o.body = Some((model.to_owned(), self.written(), true));
                o.answers = OK_CREATED;
                ("put", o)
            }
            _ => {
                let own: &[&str] = if self.custom { &["resourceVersion"] } else { &[] };
                ("get", self.operation("get", self.id("read", "", tail), format!("read {of}{kind}"), true, own))
            }
        };
        o.schema = refer(model);
        if let Some((_, known)) = &mut o.action {
            *known = gvk;
        }
        (method, o)
    }

    fn subresource(&self, sub: &Sub, path: &str) -> Vec<(String, Value)> {
        let tail = title(&sub.name);
        if sub.gvk[2].ends_with("Options") {
            return self.connect(sub, path, &tail);
        }
        if self.group.is_empty() && self.kind == "Pod" && sub.name == "log" {
            return vec![(path.to_owned(), self.log())];
        }
        let of = format!("{} of the specified ", sub.name);
        let verbs = sub.verbs.iter().filter(|v| *v != "create");
        let mut all: Vec<_> = verbs.map(|v| self.verb(v, &sub.model, sub.gvk.clone(), &tail, &of)).collect();
        if sub.verbs.iter().any(|v| v == "create") {
            let text = format!("create {} of {}", sub.name, with_article(&self.kind));
            let mut o = self.operation("post", self.id("create", "", &tail), text, true, WRITE);
            o.action = Some(("post", sub.gvk.clone()));
            o.body = Some((sub.model.clone(), MEDIA_ANY, true));
            o.answers = OK_CREATED_ACCEPTED;
            o.schema = refer(&sub.model);
            all.push(("post", o));
        }
        vec![(path.to_owned(), path_item(all))]
    }

    fn log(&self) -> Value {
        let mut o = self.operation("get", self.id("read", "", "Log"), "read log of the specified Pod".into(), true, &[]);
        o.parameters.extend(options("", "v1", "PodLogOptions"));
        o.schema = json!({ "type": "string" });
        o.media = &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        path_item(vec![("get", o)])
    }

    fn connect(&self, sub: &Sub, path: &str, tail: &str) -> Vec<(String, Value)> {
        let item = |with_path: bool| {
            let both: &[&str] = &["get", "post"];
            let methods = if sub.name == "proxy" { CONNECT_METHODS } else { both };
            let each = methods.iter().map(|method| {
                let end = if with_path { "WithPath" } else { "" };
                let id = self.id("connect", &title(method), &format!("{tail}{end}"));
                let text = format!("connect {} requests to {} of {}", method.to_uppercase(), sub.name, self.kind);
                let mut o = self.operation("connect", id, text, true, &[]);
                o.action = Some(("connect", sub.gvk.clone()));
                o.parameters = self.scope(true);
                o.parameters[usize::from(self.namespaced)] = in_path("name", &format!("name of the {}", sub.gvk[2]));
                o.parameters.extend(options(&sub.gvk[0], &sub.gvk[1], &sub.gvk[2]));
                if with_path {
                    o.parameters.push(in_path("path", "path to the resource"));
                }
                o.schema = json!({ "type": "string" });
                o.media = MEDIA_ANY;
                (*method, o)
            });
            path_item(each.collect())
        };
        let mut all = vec![(path.to_owned(), item(false))];
        if sub.name == "proxy" {
            all.push((format!("{path}/{{path}}"), item(true)));
        }
        all
    }

    fn watches(&self) -> Vec<(String, Value)> {
        let about = "use the 'watch' parameter with a list operation instead";
        let one = |action, id: String, named: bool, spaced: bool| {
            let text = if named {
                format!("watch changes to an object of kind {}. deprecated: {about}, filtered to a single item with the 'fieldSelector' parameter.", self.kind)
            } else {
                format!("watch individual changes to a list of {}. deprecated: {about}.", self.kind)
            };
            let mut o = self.operation(action, id, text, named, LIST);
            o.schema = refer("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent");
            o.media = MEDIA_LIST;
            if !spaced {
                o.parameters.retain(|p| p["name"] != "namespace");
            }
            path_item(vec![("get", o)])
        };
        let path = self.collection("/watch");
        let mut all = vec![(path.clone(), one("watchlist", self.id("watch", "", "List"), false, true))];
        if self.has("get") {
            all.push((path + "/{name}", one("watch", self.id("watch", "", ""), true, true)));
        }
        if self.namespaced {
            let id = format!("watch{}{}ListForAllNamespaces", names::version_title(&self.group, &self.version), self.kind);
            all.push((format!("{}/watch/{}", self.base(), self.plural), one("watchlist", id, false, false)));
        }
        all
    }
}

/// `/api/v1`, `/apis/apps/v1`.
pub(super) fn base(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn refer(model: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{model}") })
}
