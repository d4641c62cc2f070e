//! Roles and bindings: rules taken apart to one resource a line and put together again by verbs, in the original's order.

use super::{Page, each, plain};
use serde_json::Value;

/// One line of a table of rules: resource, path, name, verbs.
pub(crate) type RuleLine = [String; 4];

/// A rule for one resource, or one path.
#[derive(Clone, Debug, PartialEq)]
struct Simple {
    group: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    url: Option<String>,
    verbs: Vec<String>,
}

impl Simple {
    fn show(list: &Option<String>) -> String {
        format!("[{}]", list.as_deref().unwrap_or_default())
    }

    /// The text by which lines are ordered.
    fn order(&self) -> String {
        format!("Verbs:[{}],APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},", self.verbs.join(" "), Self::show(&self.group), Self::show(&self.resource), Self::show(&self.name), Self::show(&self.url))
    }

    /// `deployments.apps/scale`.
    fn title(&self) -> String {
        let Some(resource) = &self.resource else { return String::new() };
        let (plain, sub) = resource.split_once('/').map_or((resource.as_str(), None), |(p, s)| (p, Some(s)));
        let group = self.group.as_deref().filter(|g| !g.is_empty()).map(|g| format!(".{g}")).unwrap_or_default();
        format!("{plain}{group}{}", sub.map(|s| format!("/{s}")).unwrap_or_default())
    }
}

fn texts(v: &Value) -> Vec<String> {
    each(v).map(plain).collect()
}

/// Every single right of a rule.
fn apart(rule: &Value) -> Vec<Simple> {
    let mut out = Vec::new();
    let names: Vec<Option<String>> = match texts(&rule["resourceNames"]) {
        none if none.is_empty() => vec![None],
        some => some.into_iter().map(Some).collect(),
    };
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                out.extend(names.iter().map(|name| Simple { group: Some(group.clone()), resource: Some(resource.clone()), name: name.clone(), url: None, verbs: vec![verb.clone()] }));
            }
        }
    }
    for url in texts(&rule["nonResourceURLs"]) {
        out.extend(texts(&rule["verbs"]).into_iter().map(|verb| Simple { group: None, resource: None, name: None, url: Some(url.clone()), verbs: vec![verb] }));
    }
    out
}

/// Rules as lines.
pub(crate) fn rule_lines(rules: &[Value]) -> Vec<RuleLine> {
    let mut all: Vec<Simple> = Vec::new();
    for one in rules.iter().flat_map(apart) {
        let known = all.iter_mut().find(|s| one.url.is_none() && s.url.is_none() && s.group == one.group && s.resource == one.resource && s.name == one.name);
        match known {
            Some(found) if found.verbs.contains(&one.verbs[0]) => {}
            Some(found) => found.verbs.extend(one.verbs),
            None => all.push(one),
        }
    }
    all.sort_by_cached_key(Simple::order);
    all.iter().map(|s| [s.title(), Simple::show(&s.url), Simple::show(&s.name), format!("[{}]", s.verbs.join(" "))]).collect()
}

fn head(page: &mut Page, object: &Value) {
    page.head(object, false);
}

pub(super) fn role(page: &mut Page, object: &Value) {
    head(page, object);
    page.line(0, "PolicyRule:");
    page.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    page.line(1, "---------\t-----------------\t--------------\t-----");
    for line in rule_lines(object["rules"].as_array().map_or(&[], Vec::as_slice)) {
        page.line(1, line.join("\t"));
    }
}

pub(super) fn binding(page: &mut Page, object: &Value) {
    head(page, object);
    page.line(0, "Role:");
    page.pair(1, "Kind", plain(&object["roleRef"]["kind"]));
    page.pair(1, "Name", plain(&object["roleRef"]["name"]));
    page.line(0, "Subjects:");
    page.line(1, "Kind\tName\tNamespace");
    page.line(1, "----\t----\t---------");
    for s in each(&object["subjects"]) {
        page.line(1, format!("{}\t{}\t{}", plain(&s["kind"]), plain(&s["name"]), plain(&s["namespace"])));
    }
}
