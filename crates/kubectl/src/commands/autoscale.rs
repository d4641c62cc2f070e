//! `kubectl autoscale` (docs: "HorizontalPodAutoscaler Walkthrough"): an autoscaling/v2 object for what can be scaled.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::commands::apply::annotated;
use crate::print::{DryRun, Results};
use crate::query::Query;
use crate::select::{self, Item};
use crate::session::Session;
use serde_json::{Value, json};

fn object(given: &Given<'_>, item: &Item, max: i64) -> Outcome<Value> {
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": item.mapping.api_version(), "kind": item.mapping.kind, "name": item.name },
        "maxReplicas": max,
    });
    if let Some(min) = given.number("min")?.filter(|m| *m > 0) {
        spec["minReplicas"] = min.into();
    }
    let mut metrics = Vec::new();
    for (flag, name) in [("cpu", "cpu"), ("cpu-percent", "cpu"), ("memory", "memory")] {
        let Some(text) = given.text(flag).filter(|t| !t.is_empty()) else { continue };
        let target = match text.strip_suffix('%').unwrap_or(text).parse::<i64>() {
            Ok(percent) if percent < 0 => continue,
            Ok(percent) if text.ends_with('%') || flag == "cpu-percent" => json!({ "type": "Utilization", "averageUtilization": percent }),
            Err(_) if flag == "cpu-percent" => {
                given.number(flag)?;
                continue;
            }
            _ => json!({ "type": "AverageValue", "averageValue": text }),
        };
        metrics.push(json!({ "type": "Resource", "resource": { "name": name, "target": target } }));
    }
    if !metrics.is_empty() {
        spec["metrics"] = metrics.into();
    }
    let name = given.text("name").filter(|n| !n.is_empty()).unwrap_or(&item.name);
    Ok(json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name }, "spec": spec,
        "status": { "currentMetrics": null, "desiredReplicas": 0 } }))
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let (Some(max), min) = (given.number("max")?, given.number("min")?.unwrap_or(-1)) else {
        return wrong("required flag(s) \"max\" not set");
    };
    if max < 1 {
        return wrong("--max=MAXPODS is required and must be at least 1, max: ".to_owned() + &max.to_string());
    }
    if max < min {
        return wrong(format!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}"));
    }
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, &given.args()).await?;
    let mapping = session.mapping("horizontalpodautoscalers.v2.autoscaling").await?;
    for item in &items {
        if !item.mapping.subresources.iter().any(|s| s == "scale") {
            failures.push(Failure::text(format!("cannot autoscale a {}: could not find scale subresource for {}/{}, Resource={} in discovery information", item.mapping.kind, item.mapping.group, item.mapping.version, item.mapping.plural)));
            continue;
        }
        let mut object = object(given, item, max)?;
        if given.on("save-config") {
            object = annotated(&object);
        }
        if results.dry_run != DryRun::Client {
            let query = Query::default().when(results.dry_run == DryRun::Server, "dryRun", "All").and("fieldManager", given.text_or("field-manager", "kubectl-autoscale"));
            match session.client.post(&format!("{}{}", mapping.collection(Some(&item.namespace)), query.text()), &object).await {
                Ok(made) => object = made,
                Err(e) => {
                    failures.push(e.into());
                    continue;
                }
            }
        }
        session.show_warnings();
        results.print(&mapping, &object, if results.dry_run == DryRun::Client { "created" } else { "autoscaled" })?;
    }
    Failure::collect(failures)
}
