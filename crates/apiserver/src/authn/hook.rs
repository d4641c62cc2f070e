//! Webhook token authentication: a `TokenReview` to a service, the answer kept for a while.
//! Docs: "Authenticating: Webhook Token Authentication".

use client::{Client, Config};
use rules::User;
use serde_json::{Value, json};
use std::time::Duration;

/// A call is tried this often, with pauses that grow by half.
const TRIES: u32 = 5;
pub(crate) const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_FACTOR: f64 = 1.5;
/// One call may take this long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The webhook's flags.
#[derive(Clone, Debug)]
pub struct HookOptions {
    pub config: Config,
    pub cache_ttl: Duration,
    /// `v1` or `v1beta1`.
    pub version: String,
}

/// The webhook.
pub(crate) struct Hook {
    client: Client,
    version: String,
    pub(super) cache_ttl: Duration,
}

impl Hook {
    pub(crate) fn new(options: &HookOptions) -> Result<Self, String> {
        let client = Client::new(options.config.clone()).map_err(|e| e.to_string())?;
        Ok(Self { client, version: options.version.clone(), cache_ttl: options.cache_ttl })
    }

    /// Asks who a token stands for, and for which of the audiences; `None`: the service does not know it.
    pub(crate) async fn ask(&self, token: &str, audiences: &[String]) -> Result<Option<(User, Vec<String>)>, String> {
        let review = json!({
            "kind": "TokenReview", "apiVersion": format!("authentication.k8s.io/{}", self.version),
            "metadata": {}, "spec": { "token": token, "audiences": audiences }, "status": { "user": {} },
        });
        let answer = post(&self.client, &review, PAUSE).await?;
        let status = &answer["status"];
        if status["authenticated"] != true {
            return match status["error"].as_str().filter(|e| !e.is_empty()) {
                Some(e) => Err(e.to_owned()),
                None => Ok(None),
            };
        }
        let given = strings(&status["audiences"]);
        let good: Vec<String> = match given.is_empty() {
            // A service that knows no audiences speaks for the API server's own.
            true => audiences.to_vec(),
            false => audiences.iter().filter(|a| given.contains(a)).cloned().collect(),
        };
        if good.is_empty() && !audiences.is_empty() {
            return Ok(None);
        }
        Ok(Some((user_of(&status["user"]), good)))
    }
}

/// Posts a review, again while that may help, after such a pause and longer ones.
pub(crate) async fn post(client: &Client, review: &Value, mut pause: Duration) -> Result<Value, String> {
    let mut tries = 1;
    loop {
        let why = match tokio::time::timeout(TIMEOUT, client.post("", review)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(e)) if e.api().is_some_and(|a| a.code < 500 && a.code != 429) => return Err(e.to_string()),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "context deadline exceeded".to_owned(),
        };
        if tries >= TRIES {
            return Err(why);
        }
        tries += 1;
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(PAUSE_FACTOR);
    }
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
}

fn user_of(v: &Value) -> User {
    let text = |k: &str| v[k].as_str().unwrap_or_default().to_owned();
    let extra = v["extra"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), strings(v))).collect();
    User { name: text("username"), uid: text("uid"), groups: strings(&v["groups"]), extra }
}
