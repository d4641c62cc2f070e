//! Kubeconfig files (docs: "Organizing Cluster Access Using kubeconfig Files"): lists of files merge, the first to say a
//! thing wins; flags win over files; without any, the service account of the pod that we run in.

use crate::Error;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];
/// Keys that name files beside the kubeconfig.
const FILE_KEYS: [&str; 4] = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];

/// What the command line says beside the files.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub cluster: Option<String>,
    pub user: Option<String>,
    pub server: Option<String>,
    pub token: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub namespace: Option<String>,
    pub certificate_authority: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub insecure: Option<bool>,
    pub tls_server_name: Option<String>,
    pub impersonate: Option<String>,
    pub impersonate_groups: Vec<String>,
    pub impersonate_uid: Option<String>,
    pub timeout: Option<Duration>,
}

/// The merged files.
#[derive(Clone, Debug, PartialEq)]
pub struct Kubeconfig {
    /// The merged document.
    pub merged: Value,
    /// Where it came from and where changes go, first file first.
    pub files: Vec<PathBuf>,
}

/// Everything that is needed to speak to one server.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `https://host:port/path`.
    pub server: String,
    /// PEM of the authorities; the system's own if there is none.
    pub ca: Option<Vec<u8>>,
    pub insecure: bool,
    pub tls_server_name: Option<String>,
    pub client_certificate: Option<Vec<u8>>,
    pub client_key: Option<Vec<u8>>,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    pub basic: Option<(String, String)>,
    /// The user's `exec` stanza.
    pub exec: Option<Value>,
    /// The cluster stanza, for plugins that want it.
    pub cluster: Value,
    pub impersonate: Option<String>,
    pub impersonate_groups: Vec<String>,
    pub impersonate_uid: Option<String>,
    /// Namespace of the context, or `default`.
    pub namespace: String,
    pub timeout: Option<Duration>,
}

/// An empty kubeconfig.
#[must_use]
pub fn empty() -> Value {
    json!({ "apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": [], "current-context": "", "preferences": {} })
}

/// The files to read: the flag's, else `$KUBECONFIG`'s, else the one in the home directory.
#[must_use]
pub fn files(flag: Option<&Path>, variable: Option<OsString>, home: Option<OsString>) -> Vec<PathBuf> {
    if let Some(file) = flag {
        return vec![file.to_owned()];
    }
    if let Some(list) = variable.filter(|v| !v.is_empty()) {
        return std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect();
    }
    home.map(|h| PathBuf::from(h).join(".kube/config")).into_iter().collect()
}

fn relative_to(dir: &Path, document: &mut Value) {
    let entries = [("clusters", "cluster"), ("users", "user")];
    for (list, inner) in entries {
        for entry in document[list].as_array_mut().into_iter().flatten() {
            for key in FILE_KEYS {
                if let Some(Value::String(path)) = entry[inner].get_mut(key)
                    && !path.is_empty()
                    && Path::new(path).is_relative()
                {
                    *path = dir.join(&*path).display().to_string();
                }
            }
        }
    }
}

/// Merges documents: of entries with one name, and of scalars, the first counts.
#[must_use]
pub fn merge(documents: Vec<Value>) -> Value {
    let mut out = empty();
    for document in documents {
        for list in LISTS {
            let Some(Value::Array(all)) = out.get_mut(list) else { continue };
            for entry in document[list].as_array().into_iter().flatten() {
                if !all.iter().any(|e| e["name"] == entry["name"]) {
                    all.push(entry.clone());
                }
            }
        }
        if out["current-context"] == "" && document["current-context"].is_string() {
            out["current-context"] = document["current-context"].clone();
        }
        if let Some(map) = document.as_object() {
            for (k, v) in map {
                if out.get(k).is_none_or(Value::is_null) {
                    out[k.as_str()] = v.clone();
                }
            }
        }
    }
    out
}

/// One file; `Null` if it is not there.
///
/// # Errors
/// A file that cannot be read or is no YAML.
pub fn read(path: &Path) -> Result<Value, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(e) => return Err(Error::Config(format!("error loading config file \"{}\": {e}", path.display()))),
    };
    let bad = |e: String| Error::Config(format!("error loading config file \"{}\": {e}", path.display()));
    let value = codec::yaml::parse(&text).map_err(|e| bad(e.to_string()))?.value;
    if let Some(version) = value["apiVersion"].as_str().filter(|v| *v != "v1") {
        return Err(bad(format!("no kind \"Config\" is registered for version \"{version}\" in scheme \"k8s.io/client-go/tools/clientcmd/api/latest/latest.go:50\"")));
    }
    if value.is_null() || value.is_object() { Ok(value) } else { Err(bad("not a kubeconfig".to_owned())) }
}

impl Kubeconfig {
    /// Reads and merges what the flag, the environment and the home directory name.
    ///
    /// # Errors
    /// A flag that names no file; files that cannot be read.
    pub fn load(flag: Option<&Path>) -> Result<Self, Error> {
        if let Some(file) = flag
            && !file.exists()
        {
            return Err(Error::Config(format!("stat {}: no such file or directory", file.display())));
        }
        let files = files(flag, std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"));
        let mut documents = Vec::new();
        for file in &files {
            let mut document = read(file)?;
            let dir = file.parent().map(Path::to_owned).unwrap_or_default();
            relative_to(&std::path::absolute(&dir).unwrap_or(dir), &mut document);
            documents.push(document);
        }
        Ok(Self { merged: merge(documents), files })
    }

    /// A named entry of `clusters`, `users` or `contexts`: its inner object.
    #[must_use]
    pub fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        let inner = list.strip_suffix('s').unwrap_or(list);
        self.merged[list].as_array()?.iter().find(|e| e["name"] == name).map(|e| &e[inner])
    }

    /// The name of the context in use.
    #[must_use]
    pub fn current<'a>(&'a self, overrides: &'a Overrides) -> &'a str {
        overrides.context.as_deref().unwrap_or_else(|| self.merged["current-context"].as_str().unwrap_or_default())
    }

    /// The configuration that files and flags make together.
    ///
    /// # Errors
    /// Contexts, clusters or users that are not there; files that cannot be read.
    pub fn config(&self, o: &Overrides) -> Result<Config, Error> {
        let name = self.current(o);
        let nothing = Value::Object(Map::new());
        let context = match self.entry("contexts", name) {
            Some(context) => context,
            None if name.is_empty() => &nothing,
            None => return Err(Error::Configuration(format!("context was not found for specified context: {name}"))),
        };
        let pick = |list: &str, flag: &Option<String>, key: &str| -> Result<Value, Error> {
            let name = flag.as_deref().or_else(|| context[key].as_str()).unwrap_or_default();
            match self.entry(list, name) {
                Some(found) => Ok(found.clone()),
                None if flag.is_some() && key == "cluster" => Err(Error::Config(format!("no server found for cluster \"{name}\""))),
                None if flag.is_some() => Err(Error::Config(format!("auth info \"{name}\" does not exist"))),
                None => Ok(nothing.clone()),
            }
        };
        let (cluster, user) = (pick("clusters", &o.cluster, "cluster")?, pick("users", &o.user, "user")?);
        let mut config = Config {
            server: "http://localhost:8080".to_owned(),
            namespace: o.namespace.clone().or_else(|| text(context, "namespace")).unwrap_or_else(|| "default".to_owned()),
            timeout: o.timeout,
            impersonate: o.impersonate.clone().or_else(|| text(&user, "as")),
            impersonate_groups: o.impersonate_groups.clone(),
            impersonate_uid: o.impersonate_uid.clone(),
            ..Config::default()
        };
        if text(&cluster, "server").is_none() && o.server.is_none() && let Some(inside) = in_cluster(o) {
            return inside;
        }
        let user_name = o.user.as_deref().or_else(|| context["user"].as_str()).unwrap_or_default();
        if config.impersonate.is_none() && !(config.impersonate_groups.is_empty() && config.impersonate_uid.is_none()) {
            return Err(Error::Config(format!("requesting uid, groups or user-extra for {user_name} without impersonating a user")));
        }
        for (given, key, whose) in [
            (&o.certificate_authority, "certificate-authority", o.cluster.as_deref().or_else(|| context["cluster"].as_str()).unwrap_or_default()),
            (&o.client_certificate, "client-cert", user_name),
            (&o.client_key, "client-key", user_name),
        ] {
            if let Some(path) = given.as_ref().filter(|p| !p.exists()) {
                let path = path.display();
                return Err(Error::Config(format!("unable to read {key} {path} for {whose} due to open {path}: no such file or directory")));
            }
        }
        config.cluster(&cluster, o)?;
        config.user(&user, o)?;
        Ok(config)
    }
}

fn text(v: &Value, key: &str) -> Option<String> {
    v[key].as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}

fn file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::Config(format!("unable to read {}: {e}", path.display())))
}

/// The bytes under `key-data`, or of the file under `key`.
fn data(v: &Value, key: &str) -> Result<Option<Vec<u8>>, Error> {
    if let Some(encoded) = text(v, &format!("{key}-data")) {
        let joined: String = encoded.split_whitespace().collect();
        return STANDARD.decode(joined).map(Some).map_err(|e| Error::Config(format!("{key}-data: {e}")));
    }
    text(v, key).map(|path| file(Path::new(&path))).transpose()
}

fn in_cluster(o: &Overrides) -> Option<Result<Config, Error>> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok().filter(|h| !h.is_empty())?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?;
    let dir = Path::new(SERVICE_ACCOUNT);
    if !dir.join("token").exists() {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let namespace = std::fs::read_to_string(dir.join("namespace")).unwrap_or_else(|_| "default".to_owned());
    Some(file(&dir.join("ca.crt")).map(|ca| Config {
        server: format!("https://{host}:{port}"),
        ca: Some(ca),
        token: o.token.clone(),
        token_file: o.token.is_none().then(|| dir.join("token")),
        namespace: o.namespace.clone().unwrap_or_else(|| namespace.trim().to_owned()),
        timeout: o.timeout,
        impersonate: o.impersonate.clone(),
        impersonate_groups: o.impersonate_groups.clone(),
        impersonate_uid: o.impersonate_uid.clone(),
        ..Config::default()
    }))
}

impl Config {
    fn cluster(&mut self, cluster: &Value, o: &Overrides) -> Result<(), Error> {
        if let Some(server) = o.server.clone().or_else(|| text(cluster, "server")) {
            self.server = if server.contains("://") { server } else { format!("http://{server}") };
        }
        self.insecure = o.insecure.unwrap_or_else(|| o.certificate_authority.is_none() && cluster["insecure-skip-tls-verify"] == true);
        self.ca = match &o.certificate_authority {
            Some(path) => Some(file(path)?),
            None if self.insecure => None,
            None => data(cluster, "certificate-authority")?,
        };
        self.tls_server_name = o.tls_server_name.clone().or_else(|| text(cluster, "tls-server-name"));
        self.cluster = cluster.clone();
        Ok(())
    }

    fn user(&mut self, user: &Value, o: &Overrides) -> Result<(), Error> {
        self.client_certificate = match &o.client_certificate {
            Some(path) => Some(file(path)?),
            None => data(user, "client-certificate")?,
        };
        self.client_key = match &o.client_key {
            Some(path) => Some(file(path)?),
            None => data(user, "client-key")?,
        };
        self.token = o.token.clone().or_else(|| text(user, "token"));
        self.token_file = if self.token.is_none() { text(user, "tokenFile").map(PathBuf::from) } else { None };
        let name = o.username.clone().or_else(|| text(user, "username"));
        let password = o.password.clone().or_else(|| text(user, "password")).unwrap_or_default();
        self.basic = name.filter(|_| self.token.is_none()).map(|name| (name, password));
        self.exec = user.get("exec").filter(|e| e.is_object() && self.token.is_none() && self.basic.is_none()).cloned();
        Ok(())
    }
}
