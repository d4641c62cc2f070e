//! `/containerLogs/{namespace}/{pod}/{container}`.

use super::answer::{Answer, stream};
use super::query::Query;
use super::Server;
use crate::log::read::{self, Ask};
use jiff::{SignedDuration, Timestamp};
use kinds::ApiError;
use kinds::api::core::v1::ContainerStatus;
use pods::plan::sandbox::log_directory;
use pods::{ContainerView, roster};
use runtime::cri::Event;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

/// Lines that wait for the client.
const QUEUE_MAX: usize = 64;

fn ask(q: &Query, now: Timestamp) -> Result<Ask, ApiError> {
    let number = |key: &str| match q.get(key).filter(|v| !v.is_empty()) {
        None => Ok(None),
        Some(v) => v.parse::<u64>().map(Some).map_err(|_| ApiError::bad_request(format!("unable to decode query: {key}: {v:?}"))),
    };
    let since = match (number("sinceSeconds")?, q.get("sinceTime").filter(|v| !v.is_empty())) {
        (Some(s), _) => {
            let ago = SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX));
            Some(now.checked_sub(ago).unwrap_or(Timestamp::MIN))
        }
        (None, Some(t)) => Some(t.parse().map_err(|_| ApiError::bad_request(format!("unable to decode query: sinceTime: {t:?}")))?),
        (None, None) => None,
    };
    let stdout = match q.get("stream").unwrap_or_default() {
        "Stdout" => Some(true),
        "Stderr" => Some(false),
        _ => None,
    };
    Ok(Ask {
        follow: q.flag("follow"),
        timestamps: q.flag("timestamps"),
        tail_lines: number("tailLines")?,
        limit_bytes: number("limitBytes")?,
        since,
        stdout,
    })
}

/// Why there is no log yet.
fn waiting(pod: &str, container: &str, status: Option<&ContainerStatus>) -> ApiError {
    let reason = status.and_then(|s| s.state.as_ref()?.waiting.as_ref()?.reason.clone()).unwrap_or_else(|| "ContainerCreating".into());
    let why = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled".to_owned(),
        "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        r => r.to_owned(),
    };
    ApiError::bad_request(format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {why}"))
}

async fn ended(mut events: broadcast::Receiver<Event>, hands: Arc<crate::hands::Hands>, id: String) {
    loop {
        match events.recv().await {
            Ok(Event::ContainerExited { container_id, .. }) if container_id == id => return,
            Ok(Event::Lagged) | Err(broadcast::error::RecvError::Lagged(_)) => {
                if !hands.look(&id).await.is_ok_and(|v| v.is_some_and(|v| v.is_running())) {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Closed) => return,
            Ok(_) => {}
        }
    }
}

pub(crate) async fn answer(server: &Server, namespace: &str, pod: &str, container: &str, query: &str) -> Answer {
    let q = Query::parse(query);
    let hands = Arc::clone(&server.hands);
    let ask = ask(&q, hands.clock.now())?;
    let Some(seen) = server.pod(namespace, pod) else {
        return Err(ApiError::new(404, "NotFound", format!("pods \"{pod}\" not found")));
    };
    if roster::find(&seen.pod, container).is_none() {
        return Err(ApiError::bad_request(format!("container {container} is not valid for pod {pod}")));
    }
    let view: Option<&ContainerView> = match q.flag("previous") {
        // While a container waits to be restarted its newest life is the previous one.
        true => seen.view.newest(container).filter(|v| v.is_exited()).or_else(|| seen.view.previous(container)),
        false => seen.view.newest(container),
    };
    let Some(view) = view else {
        if q.flag("previous") {
            let text = format!("previous terminated container \"{container}\" in pod \"{pod}\" not found");
            return Err(ApiError::bad_request(text));
        }
        let all = seen.status.iter().flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses).flatten());
        return Err(waiting(pod, container, all.into_iter().find(|s| s.name == container)));
    };
    let path = PathBuf::from(log_directory(&seen.pod, &hands.facts)).join(format!("{container}/{}.log", view.attempt));
    let events = hands.runtime.events();
    let runs = view.is_running() && hands.look(&view.id).await.is_ok_and(|v| v.is_some_and(|v| v.is_running()));
    let ask = Ask { follow: ask.follow && runs, ..ask };
    let (sink, lines) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(read::read(path, ask, sink, ended(events, hands, view.id.clone())));
    Ok(stream(lines))
}
