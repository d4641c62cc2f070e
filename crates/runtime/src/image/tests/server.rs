//! A registry on 127.0.0.1 that misbehaves on demand. Speaks just enough HTTP/1.1, by hand, so that it can also break it.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use serde_json::json;

use super::compose::TestImage;
use crate::image::{Digest, guard};

/// How requests for blobs and manifests are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Cut the connection after so many bytes of a blob, the first `times` times.
    Cut { after: usize, times: usize },
    /// Refuse so many requests with 429.
    Busy { times: usize },
    /// One flipped bit in every layer.
    Lie,
}

#[derive(Default)]
struct Content {
    /// Path below `/v2/` to (media type, bytes).
    objects: BTreeMap<String, (String, Vec<u8>)>,
    moods: Vec<Mood>,
    basic: Option<String>,
    token: Option<String>,
    redirect_blobs: bool,
    /// Requests by `METHOD path status`.
    seen: Vec<String>,
}

/// A running registry; stops when dropped.
pub(crate) struct Server {
    pub(crate) host: String,
    content: Arc<Mutex<Content>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let host = listener.local_addr().expect("address").to_string();
        let content: Arc<Mutex<Content>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let (shared, stopping, name) = (content.clone(), stop.clone(), host.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, name) = (shared.clone(), name.clone());
                // A connection that the client drops is the client's business.
                std::thread::spawn(move || {
                    let _ = serve(&stream.expect("accept"), &shared, &name);
                });
            }
        });
        Server { host, content, stop, thread: Some(thread) }
    }

    /// Serves an image as `repository:tag`, also by digest.
    pub(crate) fn add(&self, image: &TestImage, repository: &str, tag: &str) {
        self.put_manifest(repository, tag, "application/vnd.oci.image.manifest.v1+json", &image.manifest);
        for blob in image.blobs() {
            let path = format!("{repository}/blobs/{}", Digest::of(blob));
            guard(&self.content).objects.insert(path, ("application/octet-stream".into(), blob.to_vec()));
        }
    }

    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let mut content = guard(&self.content);
        for name in [tag.to_owned(), Digest::of(bytes).to_string()] {
            content.objects.insert(format!("{repository}/manifests/{name}"), (media_type.into(), bytes.to_vec()));
        }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        guard(&self.content).moods.push(mood);
    }

    pub(crate) fn require_basic(&self, user: &str, password: &str) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        guard(&self.content).basic = Some(format!("Basic {pair}"));
    }

    pub(crate) fn require_token(&self) {
        guard(&self.content).token = Some("let-me-in".into());
    }

    pub(crate) fn redirect_blobs(&self) {
        guard(&self.content).redirect_blobs = true;
    }

    pub(crate) fn seen(&self, part: &str) -> usize {
        guard(&self.content).seen.iter().filter(|s| s.contains(part)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        drop(TcpStream::connect(&self.host));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Asked {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None => return Some(Asked { method, path, headers }),
        }
    }
}

fn serve(stream: &TcpStream, content: &Mutex<Content>, host: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read_request(&mut reader) {
        let reply = guard(content).reply(&asked, host);
        let mut out = stream;
        let status = reply.status.split(' ').next().unwrap_or("").to_owned();
        guard(content).seen.push(format!("{} {} {status}", asked.method, asked.path));
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", reply.status, reply.length);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        out.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        out.write_all(&reply.body).ok()?;
        if asked.method != "HEAD" && reply.body.len() < reply.length {
            return None; // closes the connection in the middle of the body
        }
    }
    Some(())
}

struct Reply {
    status: String,
    headers: Vec<(&'static str, String)>,
    length: usize,
    body: Vec<u8>,
}

fn reply(status: &str, body: Vec<u8>) -> Reply {
    Reply { status: status.into(), headers: Vec::new(), length: body.len(), body }
}

impl Content {
    fn reply(&mut self, asked: &Asked, host: &str) -> Reply {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let authorization = asked.headers.get("authorization").map(String::as_str);
        if path == "/token" {
            assert!(query.contains("scope=repository%3A"), "{query}");
            return match &self.basic {
                Some(basic) if authorization != Some(basic) => reply("401 Unauthorized", Vec::new()),
                _ => reply("200 OK", json!({"token": self.token}).to_string().into_bytes()),
            };
        }
        if let Some(challenge) = self.challenge(authorization, host)
            && path.starts_with("/v2/")
        {
            let mut refused = reply("401 Unauthorized", Vec::new());
            refused.headers.push(("www-authenticate", challenge));
            return refused;
        }
        if let Some(i) = self.moods.iter().position(|m| matches!(m, Mood::Busy { times: 1.. })) {
            self.moods[i] = match self.moods[i] {
                Mood::Busy { times } => Mood::Busy { times: times - 1 },
                ref other => other.clone(),
            };
            let mut busy = reply("429 Too Many Requests", Vec::new());
            busy.headers.push(("retry-after", "0".into()));
            return busy;
        }
        let object = path.trim_start_matches("/v2/").trim_start_matches("/cdn/");
        if self.redirect_blobs && path.starts_with("/v2/") && path.contains("/blobs/") {
            let mut moved = reply("307 Temporary Redirect", Vec::new());
            moved.headers.push(("location", format!("http://localhost:{}/cdn/{object}", host.rsplit(':').next().unwrap_or(""))));
            return moved;
        }
        if path.starts_with("/cdn/") {
            assert_eq!(authorization, None, "credentials were taken to another host");
        }
        match self.objects.get(object).cloned() {
            None => reply("404 Not Found", br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"x"}]}"#.to_vec()),
            Some((media_type, bytes)) => self.object(asked, object, media_type, bytes),
        }
    }

    fn challenge(&self, authorization: Option<&str>, host: &str) -> Option<String> {
        if let Some(token) = &self.token {
            let want = format!("Bearer {token}");
            let refused = || format!("Bearer realm=\"http://{host}/token\",service=\"test\",error=\"insufficient_scope\"");
            return (authorization != Some(&want)).then(refused);
        }
        let basic = self.basic.as_deref()?;
        (authorization != Some(basic)).then(|| "Basic realm=\"test\"".to_owned())
    }

    fn object(&mut self, asked: &Asked, object: &str, media_type: String, mut bytes: Vec<u8>) -> Reply {
        let from = asked.headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let digest = Digest::of(&bytes).to_string();
        // Gzip's magic: layers only.
        let layer = bytes.starts_with(&[0x1f, 0x8b]);
        if layer && self.moods.contains(&Mood::Lie) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let mut whole = bytes.split_off(from.unwrap_or(0));
        let length = whole.len();
        if layer && asked.method == "GET" {
            for mood in &mut self.moods {
                if let Mood::Cut { after, times: times @ 1.. } = mood {
                    *times -= 1;
                    whole.truncate(*after);
                    break;
                }
            }
        }
        let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
        let mut answer = Reply { status: status.into(), headers: vec![("content-type", media_type)], length, body: whole };
        if object.contains("/manifests/") {
            answer.headers.push(("docker-content-digest", digest));
        }
        if asked.method == "HEAD" {
            answer.body.clear();
        }
        answer
    }
}
