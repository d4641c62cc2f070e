//! `kubectl kustomize`: what a kustomization directory makes, printed or written.

use crate::failure::{Outcome, wrong};
use crate::flags::Given;
use crate::kustomize::build;
use crate::print::say;
use serde_json::Value;
use std::path::Path;

/// Documents with lines between them.
fn text(objects: &[Value]) -> String {
    objects.iter().map(codec::yaml::write).collect::<Vec<_>>().join("---\n")
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let directory = match given.args()[..] {
        [] => ".",
        [one] => one,
        _ => return wrong("specify one path to kustomization.yaml"),
    };
    let objects = build(Path::new(directory))?;
    let Some(place) = given.text("output").filter(|o| !o.is_empty()) else {
        say(&text(&objects));
        return Ok(());
    };
    let place = Path::new(place);
    if !place.is_dir() {
        std::fs::write(place, text(&objects))?;
        return Ok(());
    }
    for object in &objects {
        let part = |v: &Value| v.as_str().unwrap_or_default().to_lowercase();
        let version = part(&object["apiVersion"]).replace('/', "_");
        let name = format!("{version}_{}_{}.yaml", part(&object["kind"]), part(&object["metadata"]["name"]));
        std::fs::write(place.join(name), codec::yaml::write(object))?;
    }
    Ok(())
}
