//! exec, attach, terminals, port forwarding.

use std::time::Instant;

use runtime::cri::{ContainerRuntime, ExecRequest, RuntimeError, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::world::World;

pub(crate) const TESTS: &[crate::Test] = &[
    ("exec_collects_output_and_codes", exec_collects_output_and_codes),
    ("exec_times_out", exec_times_out),
    ("exec_streams", exec_streams),
    ("exec_with_a_terminal", exec_with_a_terminal),
    ("attach_to_standard_streams", attach_to_standard_streams),
    ("a_slow_client_gets_everything", a_slow_client_gets_everything),
    ("attach_to_a_terminal", attach_to_a_terminal),
    ("ports_are_forwarded", ports_are_forwarded),
];

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn exec_collects_output_and_codes(w: &World) {
    let sandbox = w.sandbox();
    let mut config = w.script("sleep 1000");
    config.envs = vec![("A".into(), "b".into())];
    let id = w.start(&sandbox, config);
    let cri = w.cri();
    let out = w.wait(cri.exec_sync(&id, words(&["sh", "-c", "echo $A; echo err >&2; exit 9"]), None)).expect("runs");
    assert_eq!((&out.stdout[..], &out.stderr[..], out.exit_code), (&b"b\n"[..], &b"err\n"[..], 9));
    let big = w.wait(cri.exec_sync(&id, words(&["dd", "if=/dev/zero", "bs=1M", "count=2"]), None)).expect("runs");
    assert_eq!(big.stdout.len(), 2 << 20);
    let error = w.wait(cri.exec_sync(&id, words(&["nope"]), None)).expect_err("no such program").to_string();
    assert!(error.starts_with("failed to exec in container: failed to start exec"), "{error}");
    assert!(error.ends_with(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nope\": executable file not found in \
         $PATH: unknown"
    ));
    w.wait(cri.stop_container(&id, 0)).expect("stopped");
    assert!(w.wait(cri.exec_sync(&id, words(&["true"]), None)).is_err());
}

fn exec_times_out(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("sleep 1000"));
    let began = Instant::now();
    let error = w.wait(w.cri().exec_sync(&id, words(&["sh", "-c", "sleep 500; true"]), Some(1))).expect_err("too slow");
    assert!(matches!(error, RuntimeError::Timeout { seconds: 1 }), "{error}");
    assert!(began.elapsed().as_secs() < 10);
    let count = || {
        let out = w.wait(w.cri().exec_sync(&id, words(&["ps"]), None)).expect("runs");
        String::from_utf8_lossy(&out.stdout).matches("sleep 500").count()
    };
    w.until("the command is killed", || count() == 0);
}

fn streams(tty: bool) -> (Streams, DuplexStream, DuplexStream, DuplexStream, tokio::sync::mpsc::Sender<(u16, u16)>) {
    let ((in1, in2), (out1, out2), (err1, err2)) = (tokio::io::duplex(65536), tokio::io::duplex(65536), tokio::io::duplex(65536));
    let (resize, sizes) = tokio::sync::mpsc::channel(4);
    let streams = Streams { stdin: Some(in1), stdout: Some(out1), stderr: (!tty).then_some(err1), resize: tty.then_some(sizes) };
    (streams, in2, out2, err2, resize)
}

fn request(id: &str, command: &[&str], tty: bool) -> ExecRequest {
    ExecRequest { container_id: id.into(), command: words(command), tty, stdin: true, stdout: true, stderr: !tty }
}

fn exec_streams(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("sleep 1000"));
    let cri = w.cri();
    let (streams, mut stdin, mut stdout, mut stderr, _) = streams(false);
    let (code, out, err) = w.wait(async {
        let run = cri.exec(request(&id, &["sh", "-c", "cat; echo done >&2; exit 3"], false), streams);
        let drive = async {
            stdin.write_all(b"through\n").await.expect("written");
            drop(stdin); // half-close: cat ends, output still comes
            let (mut out, mut err) = (String::new(), String::new());
            stdout.read_to_string(&mut out).await.expect("read");
            stderr.read_to_string(&mut err).await.expect("read");
            (out, err)
        };
        let (code, (out, err)) = tokio::join!(run, drive);
        (code.expect("it runs"), out, err)
    });
    assert_eq!((code, out.as_str(), err.as_str()), (3, "through\n", "done\n"));
}

/// Reads until the text holds what is wanted.
async fn read_until(stream: &mut DuplexStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(wanted) {
        let length = stream.read(&mut buffer).await.expect("read");
        assert!(length > 0, "ended with {text:?}, wanted {wanted:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

fn exec_with_a_terminal(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("sleep 1000"));
    let cri = w.cri();
    let (streams, mut stdin, mut stdout, _, resize) = streams(true);
    let code = w.wait(async {
        let run = cri.exec(request(&id, &["sh"], true), streams);
        let drive = async {
            resize.send((101, 37)).await.expect("sent");
            stdin.write_all(b"until stty size | grep -q '37 101'; do sleep 0.02; done; tty; echo $TERM size-ok\n").await.expect("written");
            read_until(&mut stdout, "xterm size-ok\r\n").await;
            stdin.write_all(b"exit 6\n").await.expect("written");
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest).await.expect("read");
        };
        tokio::join!(run, drive).0
    });
    assert_eq!(code.expect("it runs"), 6);
}

fn attach_to_standard_streams(w: &World) {
    let sandbox = w.sandbox();
    let mut config = w.script("echo early; cat; echo bye >&2; exit 2");
    (config.stdin, config.stdin_once) = (true, true);
    let id = w.start(&sandbox, config);
    let cri = w.cri();
    let (streams, mut stdin, mut stdout, mut stderr, _) = streams(false);
    let (out, err) = w.wait(async {
        let run = cri.attach(&id, streams);
        let drive = async {
            stdin.write_all(b"hello\n").await.expect("written");
            let out = read_until(&mut stdout, "hello\n").await;
            drop(stdin);
            let err = read_until(&mut stderr, "bye\n").await;
            (out, err)
        };
        let (ended, texts) = tokio::join!(run, drive);
        ended.expect("attached");
        texts
    });
    assert!(out.ends_with("hello\n") && err.ends_with("bye\n"));
    let status = w.ended(&id);
    assert_eq!(status.exit_code, 2);
    let log = crate::world::log_of(&status.log_path);
    assert!(log.iter().any(|l| l.ends_with("stdout F hello")), "{log:?}");
}

fn attach_to_a_terminal(w: &World) {
    let sandbox = w.sandbox();
    let mut config = w.script("exec sh -i");
    (config.stdin, config.tty) = (true, true);
    let id = w.start(&sandbox, config);
    let cri = w.cri();
    let (streams, mut stdin, mut stdout, _, resize) = streams(true);
    w.wait(async {
        let run = cri.attach(&id, streams);
        let drive = async {
            resize.send((90, 20)).await.expect("sent");
            stdin.write_all(b"until stty size | grep -q '20 90'; do sleep 0.02; done; echo size-$((40+2))\n").await.expect("written");
            read_until(&mut stdout, "size-42").await;
            stdin.write_all(b"exit 4\n").await.expect("written");
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest).await.expect("read");
        };
        tokio::join!(run, drive).0.expect("attached");
    });
    assert_eq!(w.ended(&id).exit_code, 4);
}

fn ports_are_forwarded(w: &World) {
    let name = format!("timonel-test-{}", std::process::id());
    let ip = |args: &[&str]| std::process::Command::new("ip").args(args).status().is_ok_and(|s| s.success());
    if !ip(&["netns", "add", &name]) {
        println!("skipped: containers::ports_are_forwarded: ip netns does not work here");
        return;
    }
    assert!(ip(&["-n", &name, "link", "set", "lo", "up"]));
    let mut pod = w.sandbox_config();
    pod.netns = Some(format!("/run/netns/{name}").into());
    pod.sysctls = [("net.ipv4.ip_local_port_range".to_owned(), "2000 3000".to_owned())].into();
    let cri = w.cri();
    let sandbox = w.wait(cri.run_sandbox(pod)).expect("a sandbox");
    let id = w.start(&sandbox, w.script("hostname; cat /proc/sys/net/ipv4/ip_local_port_range; echo hello | nc -l -p 8080; sleep 1000"));
    let listening = || {
        let out = w.wait(cri.exec_sync(&id, words(&["grep", "-c", ":1F90 ", "/proc/net/tcp", "/proc/net/tcp6"]), None)).expect("runs");
        out.exit_code == 0
    };
    w.until("it listens", listening);
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let text = w.wait(async {
        let (_, text) = tokio::join!(cri.port_forward(&sandbox, 8080, theirs), async {
            let text = read_until(&mut ours, "hello\n").await;
            drop(ours);
            text
        });
        text
    });
    assert_eq!(text, "hello\n");
    let log = crate::world::log_of(&w.dir.path().join("logs/c/0.log"));
    assert!(log[1].ends_with(" 2000\t3000"), "{log:?}");
    assert!(log[0].ends_with(" pod-host"), "the pod has a host name of its own: {log:?}");
    let error = w.wait(cri.port_forward(&sandbox, 9, tokio::io::duplex(16).0)).expect_err("nothing listens").to_string();
    assert!(error.contains("failed to connect to localhost:9 inside namespace") && error.contains("connection refused"), "{error}");
    w.wait(cri.remove_sandbox(&sandbox)).expect("removed");
    assert!(ip(&["netns", "del", &name]));
}

fn a_slow_client_gets_everything(w: &World) {
    const BYTES: usize = 3 << 20;
    let sandbox = w.sandbox();
    let mut config = w.script(&format!("read go; head -c {BYTES} /dev/zero; exit 0"));
    (config.stdin, config.stdin_once) = (true, true);
    let id = w.start(&sandbox, config);
    let cri = w.cri();
    let (streams, mut stdin, mut stdout, _stderr, _) = streams(false);
    let got = w.wait(async {
        let run = cri.attach(&id, streams);
        let drive = async {
            stdin.write_all(b"go\n").await.expect("written");
            let (mut got, mut chunk) = (0, vec![0; 4096]);
            loop {
                match stdout.read(&mut chunk).await.expect("read") {
                    0 => return got,
                    length => got += length,
                }
            }
        };
        tokio::join!(run, drive).1
    });
    assert_eq!(got, BYTES);
    let status = w.ended(&id);
    let log = std::fs::read_to_string(&status.log_path).expect("the log");
    assert_eq!(log.matches('\0').count(), BYTES);
}
