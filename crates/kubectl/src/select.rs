//! Which objects a command line means: `TYPE`, `TYPE NAME…`, `TYPE/NAME…`, `TYPE1,TYPE2`, `-l`, `-f`, `--all`.

use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::query::Query;
use crate::session::Session;
use serde_json::Value;

/// What is said when nothing was chosen.
pub(crate) const NOTHING: &str = "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'";
/// Objects asked for in one answer.
const CHUNK: &str = "500";

/// Objects of one resource: by name, or all that selectors leave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) mapping: Mapping,
    /// `None`: a list.
    pub(crate) name: Option<String>,
}

/// An object that a command works on.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) mapping: Mapping,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: Value,
    /// The manifest's place, if it came from one.
    pub(crate) source: Option<String>,
}

impl Item {
    /// Its path on the server.
    pub(crate) fn path(&self) -> String {
        self.mapping.object(Some(&self.namespace), &self.name)
    }

    /// ` from web namespace`, of what lives in one.
    pub(crate) fn place(&self) -> String {
        if self.namespace.is_empty() { String::new() } else { format!(" from {} namespace", self.namespace) }
    }

    pub(crate) fn of(mapping: &Mapping, object: Value) -> Self {
        let text = |k: &str| object["metadata"][k].as_str().unwrap_or_default().to_owned();
        Self { mapping: mapping.clone(), namespace: text("namespace"), name: text("name"), object, source: None }
    }
}

/// Reads the arguments of a command.
pub(crate) async fn targets(session: &Session, args: &[&str]) -> Outcome<Vec<Target>> {
    if args.iter().any(|a| a.contains('/')) {
        let mut out = Vec::new();
        for arg in args {
            let Some((kind, name)) = arg.split_once('/') else {
                return wrong("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'");
            };
            if name.contains('/') {
                return wrong("arguments in resource/name form may not have more than one slash");
            }
            if kind.is_empty() || name.is_empty() || kind.contains(',') {
                return wrong("arguments in resource/name form must have a single resource and name");
            }
            out.push(Target { mapping: session.mapping(kind).await?, name: Some(name.to_owned()) });
        }
        return Ok(out);
    }
    let Some((kinds, names)) = args.split_first() else { return Ok(Vec::new()) };
    let mut mappings = Vec::new();
    for kind in kinds.split(',').filter(|k| !k.is_empty()) {
        let category: Vec<Mapping> = session.discovery().await?.category(kind).into_iter().cloned().collect();
        if category.is_empty() {
            mappings.push(session.mapping(kind).await?);
        } else {
            mappings.extend(category);
        }
    }
    let mut out = Vec::new();
    for mapping in mappings {
        if names.is_empty() {
            out.push(Target { mapping, name: None });
        } else {
            out.extend(names.iter().map(|n| Target { mapping: mapping.clone(), name: Some((*n).to_owned()) }));
        }
    }
    Ok(out)
}

/// Whether the arguments name more than one type.
pub(crate) fn many_types(args: &[&str], targets: &[Target]) -> bool {
    args.first().is_some_and(|a| !a.contains('/') && a.contains(',')) || targets.iter().any(|t| t.mapping != targets[0].mapping)
}

/// Which objects of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// `None`: all namespaces.
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Option<String>,
    pub(crate) fields: Option<String>,
    /// Objects in one answer; 0: no limit.
    pub(crate) chunk: Option<i64>,
}

impl Scope {
    /// Reads `-A`, `-l` and `--field-selector`.
    pub(crate) fn of(session: &Session, given: &Given<'_>) -> Self {
        Self {
            namespace: (!given.on("all-namespaces")).then(|| session.namespace.clone()),
            selector: given.text("selector").map(str::to_owned),
            fields: given.text("field-selector").map(str::to_owned),
            chunk: given.text("chunk-size").and_then(|c| c.parse().ok()),
        }
    }

    /// The query of a list.
    pub(crate) fn query(&self) -> Query {
        Query::default().and_some("labelSelector", self.selector.as_deref()).and_some("fieldSelector", self.fields.as_deref())
    }
}

/// A list that the server refused: a selector or a limit that it cannot read is named.
pub(crate) fn unlisted(e: client::Error, mapping: &Mapping, scope: &Scope) -> Failure {
    let resource = format!("{}/{}, Resource={}", mapping.group, mapping.version, mapping.plural);
    let (labels, fields) = (scope.selector.as_deref().unwrap_or_default(), scope.fields.as_deref().unwrap_or_default());
    let selected = !labels.is_empty() || !fields.is_empty();
    match &e {
        client::Error::Api(a) if a.code == 400 && selected => Failure::from(e).doing(|| format!("Unable to find \"{resource}\" that match label selector \"{labels}\", field selector \"{fields}\"")),
        client::Error::Api(a) if a.code == 400 => Failure::from(e).doing(|| format!("Unable to list \"{resource}\"")),
        _ => e.into(),
    }
}

/// Lists objects, in chunks; gives the whole list, with `apiVersion` and `kind` on the items.
pub(crate) async fn list(session: &Session, mapping: &Mapping, scope: &Scope) -> Outcome<Value> {
    let path = mapping.collection(scope.namespace.as_deref());
    let mut whole: Option<Value> = None;
    let mut next = String::new();
    loop {
        let query = scope.query().when(scope.chunk != Some(0), "limit", &scope.chunk.map_or_else(|| CHUNK.to_owned(), |c| c.to_string())).and_some("continue", Some(&next));
        let got = session.client.get(&format!("{path}{}", query.text())).await;
        let mut page = got.map_err(|e| unlisted(e, mapping, scope))?;
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        for item in page["items"].as_array_mut().into_iter().flatten() {
            item["apiVersion"] = mapping.api_version().into();
            item["kind"] = mapping.kind.clone().into();
        }
        match &mut whole {
            None => whole = Some(page),
            Some(all) => {
                if let (Some(all), Value::Array(more)) = (all["items"].as_array_mut(), page["items"].take()) {
                    all.extend(more);
                }
            }
        }
        if next.is_empty() {
            return Ok(whole.unwrap_or_default());
        }
    }
}

/// Everything that arguments, files and selectors of a command mean, fetched; what could not be found is told beside it.
pub(crate) async fn items(session: &Session, given: &Given<'_>, args: &[&str]) -> Outcome<(Vec<Item>, Vec<Failure>)> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    if manifest::given_any(given) {
        if !args.is_empty() {
            return wrong("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        }
        for m in manifest::gather(given, "").await? {
            let mapping = session.mapping_of(&m.object, &m.source).await?;
            let namespace = session.namespace_of(&m.object, &mapping)?;
            let name = m.object["metadata"]["name"].as_str().unwrap_or_default();
            if given.on("local") {
                found.push(Item { source: Some(m.source), ..Item::of(&mapping, m.object) });
                continue;
            }
            match session.client.get(&mapping.object(Some(&namespace), name)).await {
                Ok(object) => found.push(Item { source: Some(m.source), ..Item::of(&mapping, object) }),
                Err(e) => failures.push(e.into()),
            }
        }
        return Ok((found, failures));
    }
    if given.on("local") {
        return wrong("You must specify resources by --filename when --local is set.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'");
    }
    if args.is_empty() {
        return wrong(NOTHING);
    }
    let scope = Scope::of(session, given);
    for target in targets(session, args).await? {
        let Some(name) = &target.name else {
            if scope.selector.is_none() && scope.fields.is_none() && !given.on("all") {
                return wrong("resource(s) were provided, but no name was specified");
            }
            let list = list(session, &target.mapping, &scope).await?;
            found.extend(list["items"].as_array().into_iter().flatten().map(|o| Item::of(&target.mapping, o.clone())));
            continue;
        };
        if scope.selector.is_some() {
            return wrong("name cannot be provided when a selector is specified");
        }
        match session.client.get(&target.mapping.object(Some(&session.namespace), name)).await {
            Ok(object) => found.push(Item::of(&target.mapping, object)),
            Err(e) => failures.push(e.into()),
        }
    }
    Ok((found, failures))
}
