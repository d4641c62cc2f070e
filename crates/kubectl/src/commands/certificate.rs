//! `kubectl certificate approve|deny`: the condition that a signer waits for, through the approval subresource.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{Format, say};
use crate::select;
use crate::session::Session;
use serde_json::{Value, json};

/// A conflict is met by reading again.
const TRIES_MAX: usize = 5;

fn decided(object: &Value, word: &str) -> bool {
    object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == word))
}

pub(crate) async fn run(given: &Given<'_>, approve: bool) -> Outcome {
    let session = Session::open(given)?;
    let (word, other, done) = if approve { ("Approved", "Denied", "approved") } else { ("Denied", "Approved", "denied") };
    let args = given.args();
    if args.is_empty() && given.list("filename").is_empty() {
        return wrong("one or more CSRs must be specified as <name> or -f <filename>");
    }
    let words: Vec<&str> = if args.is_empty() { Vec::new() } else { std::iter::once("certificatesigningrequests").chain(args.iter().map(|a| a.rsplit('/').next().unwrap_or(a))).collect() };
    let (items, mut failures) = select::items(&session, given, &words).await?;
    for item in &items {
        let mut object = item.object.clone();
        for tries in 1.. {
            if decided(&object, word) && !given.on("force") {
                break;
            }
            if decided(&object, other) {
                failures.push(Failure::text(format!("certificate signing request \"{}\" is already {}", item.name, other.to_lowercase())));
                break;
            }
            let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default().to_string();
            let condition = json!({ "type": word, "status": "True", "reason": format!("Kubectl{}", if approve { "Approve" } else { "Deny" }),
                "message": format!("This CSR was {done} by kubectl certificate {}.", if approve { "approve" } else { "deny" }), "lastUpdateTime": now });
            match object["status"]["conditions"].as_array_mut() {
                Some(all) => all.push(condition),
                None => object["status"]["conditions"] = json!([condition]),
            }
            match session.client.put(&format!("{}/approval", item.path()), &object).await {
                Ok(new) => {
                    object = new;
                    break;
                }
                Err(e) if e.api().is_some_and(kinds::ApiError::is_conflict) && tries < TRIES_MAX => object = session.client.get(&item.path()).await?,
                Err(e) => {
                    failures.push(e.into());
                    break;
                }
            }
        }
        let format = Format::of(given)?;
        if format.is_human() {
            say(&format!("{} {done}\n", item.mapping.named(&item.name)));
        } else {
            say(&format.text(&object)?);
        }
    }
    Failure::collect(failures)
}
