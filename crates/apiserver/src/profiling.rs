//! `/debug/pprof/`: the index, and what else of Go's profiles a client can be told by a program that is not written in Go.
//! There are no symbols to look up, and no profiles: those are answered with 501, as long as their names are known.

use crate::call::Call;
use crate::respond::{self, Reply};
use http::{HeaderValue, StatusCode, header};

const PREFIX: &str = "/debug/pprof";
/// What Go programs have under their names.
const PROFILES: [&str; 8] = ["allocs", "block", "goroutine", "heap", "mutex", "profile", "threadcreate", "trace"];

/// An answer, when the path is one of these.
pub(crate) fn answer(call: &Call) -> Option<Reply> {
    let rest = call.info.path.strip_prefix(PREFIX)?;
    Some(match rest.strip_prefix('/') {
        None if rest.is_empty() => elsewhere(),
        None => return None,
        Some("") => index(),
        Some("symbol") => respond::plain_error(200, "num_symbols: 0\n"),
        Some(name) if PROFILES.contains(&name) => {
            respond::plain_error(501, format!("{name} is a profile of Go programs, and this server is none\n"))
        }
        Some(_) => unknown(),
    })
}

fn elsewhere() -> Reply {
    let mut reply = respond::with_media(302, b"<a href=\"/debug/pprof/\">Found</a>.\n\n".to_vec().into(), "text/html; charset=utf-8");
    *reply.status_mut() = StatusCode::FOUND;
    reply.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/debug/pprof/"));
    reply
}

fn unknown() -> Reply {
    let mut reply = respond::plain_error(404, "Unknown profile\n");
    reply.headers_mut().insert("x-go-pprof", HeaderValue::from_static("1"));
    reply
}

fn index() -> Reply {
    let mut page = String::from("<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<br>\n");
    page.push_str("<p>This server is no Go program: of the profiles it knows the names and nothing else.</p>\n<table>\n<thead><td>Count</td><td>Profile</td></thead>\n");
    for name in PROFILES {
        page.push_str(&format!("<tr><td>0</td><td><a href='{name}?debug=1'>{name}</a></td></tr>\n"));
    }
    page.push_str("</table>\n</body>\n</html>\n");
    let mut reply = respond::with_media(200, page.into_bytes().into(), "text/html; charset=utf-8");
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}
