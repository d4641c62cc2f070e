//! Start, logs, exit codes, environment, mounts, stop.

use std::time::Instant;

use runtime::cri::{ContainerRuntime, Mount, NamespaceMode, SandboxState};

use crate::world::{World, log_of};

pub(crate) const TESTS: &[crate::Test] = &[
    ("logs_and_exit_codes", logs_and_exit_codes),
    ("environment_and_identity_of_a_pod", environment_and_identity_of_a_pod),
    ("what_cannot_be_started_says_why", what_cannot_be_started_says_why),
    ("mounts", mounts),
    ("mounts_travel", mounts_travel),
    ("a_stop_escalates", a_stop_escalates),
    ("shared_namespaces", shared_namespaces),
    ("log_rotation", log_rotation),
    ("nothing_is_left", nothing_is_left),
    ("many_lives_leave_nothing", many_lives_leave_nothing),
    ("starting_is_fast", starting_is_fast),
];

fn logs_and_exit_codes(w: &World) {
    let (status, log) = w.run(w.script("echo out; echo err >&2; printf last; exit 3"));
    assert_eq!((status.exit_code, status.reason.as_str(), status.signal), (3, "Error", 0));
    assert!(status.created_at_ns <= status.started_at_ns && status.started_at_ns <= status.finished_at_ns);
    assert!(log.iter().any(|l| l.ends_with(" stdout F out")), "{log:?}");
    assert!(log.iter().any(|l| l.ends_with(" stderr F err")), "{log:?}");
    assert!(log.iter().any(|l| l.ends_with(" stdout P last")), "{log:?}");
    let (status, _) = w.run(w.script("true"));
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
}

fn environment_and_identity_of_a_pod(w: &World) {
    let mut config = w.script("cat /etc/hostname /etc/resolv.conf; echo $FROM_IMAGE $A $HOSTNAME $HOME; pwd; id");
    config.envs = vec![("A".into(), "b".into())];
    config.working_dir = "/made/up".into();
    let out = w.output(config);
    assert_eq!(out[..4], ["pod-host", "nameserver 10.96.0.10", "yes b pod-host /root", "/made/up"]);
    assert!(out[4].starts_with("uid=0(root) gid=0(root)"), "{out:?}");
}

fn what_cannot_be_started_says_why(w: &World) {
    let sandbox = w.sandbox();
    let head = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                unable to start container process: ";
    for (command, text) in [
        ("foo", "exec: \"foo\": executable file not found in $PATH"),
        ("/foo", "exec: \"/foo\": stat /foo: no such file or directory"),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("/bin/not-executable", "exec: \"/bin/not-executable\": permission denied"),
        ("/bin/not-a-program", "exec /bin/not-a-program: exec format error"),
    ] {
        let mut config = w.script("");
        config.command = vec![command.into()];
        let cri = w.cri();
        let (id, error) = w.wait(async {
            let id = cri.create_container(&sandbox, config).await.expect("created");
            let error = cri.start_container(&id).await.expect_err("it cannot start");
            (id, error)
        });
        assert_eq!(error.to_string(), format!("{head}{text}: unknown"));
        let status = w.ended(&id);
        assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
        assert_eq!(status.message, error.to_string());
    }
    let mut config = w.script("true");
    config.security.run_as_username = Some("nobody-here".into());
    let cri = w.cri();
    let error = w.wait(async {
        let id = cri.create_container(&sandbox, config).await.expect("created");
        cri.start_container(&id).await.expect_err("no such user").to_string()
    });
    assert!(error.contains("unable to find user nobody-here: no matching entries in passwd file"), "{error}");
}

fn mounts(w: &World) {
    let host = w.dir.path().join("host");
    std::fs::create_dir_all(host.join("sub")).expect("a directory");
    std::fs::write(host.join("file"), "from the host\n").expect("a file");
    std::fs::write(host.join("log"), "").expect("a file");
    let mount = |path: &str, source: &str, readonly: bool| Mount {
        container_path: path.into(),
        host_path: host.join(source),
        readonly,
        ..Mount::default()
    };
    let mut config = w.script(
        "cat /data/file; touch /data/new && echo wrote; touch /ro/x 2>/dev/null || echo refused; cat /etc/one; ls /missing | wc -l; \
         ls -d /var/link/deep; printf why > /dev/termination-log",
    );
    config.mounts = vec![
        mount("/data", "", false),
        mount("/ro", "sub", true),
        mount("/etc/one", "file", true),
        mount("/dev/termination-log", "log", false),
        mount("/missing", "was-not-there", false),
        mount("/var/link/deep", "sub", false),
    ];
    assert_eq!(w.output(config), ["from the host", "wrote", "refused", "from the host", "0", "/var/link/deep"]);
    assert_eq!(std::fs::read_to_string(host.join("log")).expect("a file"), "why");
    let mut config = w.script("true");
    config.mounts = vec![mount("/proc/sys/kernel", "sub", false)];
    let sandbox = w.sandbox();
    let cri = w.cri();
    let error = w.wait(async {
        let id = cri.create_container(&sandbox, config).await.expect("created");
        cri.start_container(&id).await.expect_err("refused").to_string()
    });
    assert!(error.contains("cannot be mounted because it is inside /proc"), "{error}");
    assert!(host.join("new").exists() && host.join("was-not-there").is_dir());
}

fn mounts_travel(w: &World) {
    use nix::mount::{MntFlags, MsFlags, mount as mount_call, umount2};
    use runtime::cri::Propagation;
    let host = w.dir.path().join("travel");
    std::fs::create_dir_all(&host).expect("a directory");
    let none = None::<&str>;
    mount_call(Some("tmpfs"), &host, Some("tmpfs"), MsFlags::empty(), none).expect("a mount of our own");
    mount_call(none, &host, none, MsFlags::MS_SHARED, none).expect("shared");
    std::fs::create_dir_all(host.join("later")).expect("a directory");
    std::fs::create_dir_all(host.join("inner")).expect("a directory");
    let sandbox = w.sandbox();
    let config = |propagation| {
        let mut config = w.script("sleep 1000");
        config.security.privileged = true;
        let mount = Mount { container_path: "/data".into(), host_path: host.clone(), propagation, ..Mount::default() };
        config.mounts = vec![mount];
        config
    };
    let both = w.start(&sandbox, config(Propagation::Bidirectional));
    let down = w.start(&sandbox, config(Propagation::HostToContainer));
    let none_of_it = w.start(&sandbox, config(Propagation::Private));
    mount_call(Some("tmpfs"), &host.join("later"), Some("tmpfs"), MsFlags::empty(), none).expect("a mount of our own");
    std::fs::write(host.join("later/file"), "").expect("a file");
    let run = |id: &str, command: &[&str]| {
        w.wait(w.cri().exec_sync(id, command.iter().map(|s| (*s).to_owned()).collect(), None)).expect("runs").exit_code
    };
    let sees = |id: &str| run(id, &["test", "-e", "/data/later/file"]) == 0;
    assert_eq!([sees(&both), sees(&down), sees(&none_of_it)], [true, true, false]);
    assert_eq!(run(&both, &["mount", "-t", "tmpfs", "none", "/data/inner"]), 0);
    assert_eq!(run(&both, &["touch", "/data/inner/up"]), 0);
    assert!(host.join("inner/up").exists(), "what the container mounts is seen on the host");
    w.wait(w.cri().remove_sandbox(&sandbox)).expect("removed");
    umount2(&host, MntFlags::MNT_DETACH).expect("unmounted");
    let sandbox = w.sandbox();
    let error = w.wait(w.cri().create_container(&sandbox, config(Propagation::Bidirectional))).map(|_| ());
    let shared_root = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().any(|l| l.contains(" / / ") && l.contains("shared:"));
    match error {
        Err(e) => assert!(e.to_string().ends_with("but it is not a shared mount"), "{e}"),
        Ok(()) => assert!(shared_root),
    }
}

fn a_stop_escalates(w: &World) {
    let sandbox = w.sandbox();
    let obedient = w.start(&sandbox, w.script("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"));
    let deaf = w.start(&sandbox, w.script("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    let log = w.dir.path().join("logs/c/0.log");
    w.until("both are ready", || log_of(&log).iter().filter(|l| l.ends_with("ready")).count() == 2);
    w.wait(w.cri().stop_container(&obedient, 10)).expect("stopped");
    assert_eq!(w.ended(&obedient).exit_code, 7);
    let began = Instant::now();
    w.wait(w.cri().stop_container(&deaf, 1)).expect("stopped");
    assert!(began.elapsed().as_millis() >= 1000);
    let status = w.ended(&deaf);
    assert_eq!((status.exit_code, status.signal, status.reason.as_str()), (137, 9, "Error"));
    w.wait(w.cri().stop_container(&deaf, 1)).expect("stopping twice is fine");
}

fn shared_namespaces(w: &World) {
    let mut pod = w.sandbox_config();
    pod.pid_mode = NamespaceMode::Pod;
    let sandbox = w.wait(w.cri().run_sandbox(pod)).expect("a sandbox");
    let mut first = w.script("touch /dev/shm/shared; exec sleep 1000");
    first.pid_mode = NamespaceMode::Pod;
    let first = w.start(&sandbox, first);
    let mut second = w.script("ls /dev/shm; ps | grep -c 'sleep 1000' ; readlink /proc/1/exe >/dev/null; ps | grep -c pause");
    second.pid_mode = NamespaceMode::Pod;
    second.log_path = "d/0.log".into();
    let shared = w.dir.path().join("logs/d/0.log");
    w.until("the file is there", || {
        w.wait(w.cri().exec_sync(&first, vec!["ls".into(), "/dev/shm".into()], None)).expect("runs").stdout == b"shared\n"
    });
    let second = w.start(&sandbox, second);
    assert_eq!(w.ended(&second).exit_code, 0);
    let log = log_of(&shared);
    assert!(log[0].ends_with(" shared"), "{log:?}");
    let mut target = w.script("kill -TERM 1; ps");
    target.pid_mode = NamespaceMode::Target(first.clone());
    let target = w.start(&sandbox, target);
    w.ended(&target);
    w.wait(w.cri().stop_sandbox(&sandbox)).expect("stopped");
    assert_eq!(w.ended(&first).exit_code, 137);
}

fn log_rotation(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("echo old; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo new; sleep 1000"));
    let log = w.dir.path().join("logs/c/0.log");
    w.until("the old line", || log_of(&log).len() == 1);
    std::fs::rename(&log, log.with_extension("1")).expect("moved");
    w.wait(w.cri().reopen_log(&id)).expect("reopened");
    w.wait(w.cri().exec_sync(&id, vec!["touch".into(), "/tmp/go".into()], None)).expect("runs");
    w.until("the new line", || log_of(&log).len() == 1);
    assert!(log_of(&log)[0].ends_with("new") && log_of(&log.with_extension("1"))[0].ends_with("old"));
}

fn nothing_is_left(w: &World) {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().count();
    let before = mounts();
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("sleep 1000 & exec sleep 1000"));
    assert_eq!(mounts(), before, "no mount of a container is seen on the host");
    let sandboxes = w.wait(w.cri().sandboxes()).expect("a list");
    assert_eq!(sandboxes[0].state, SandboxState::Ready);
    let pid = sandboxes[0].pid.expect("a shim");
    w.wait(w.cri().stop_sandbox(&sandbox)).expect("stopped");
    assert_eq!(w.wait(w.cri().sandboxes()).expect("a list")[0].state, SandboxState::NotReady);
    w.until("the shim is gone", || !std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists());
    assert_eq!(w.ended(&id).exit_code, 137);
    w.wait(w.cri().remove_sandbox(&sandbox)).expect("removed");
    w.wait(w.cri().remove_sandbox(&sandbox)).expect("twice");
    assert!(w.wait(w.cri().containers()).expect("a list").is_empty());
    let state = w.dir.path().join("state/pods");
    assert_eq!(std::fs::read_dir(state).expect("a directory").count(), 0);
    assert_eq!(std::fs::read_dir(w.dir.path().join("images/rootfs")).expect("a directory").count(), 0);
    assert!(!std::path::Path::new("/sys/fs/cgroup/memory").join(&w.cgroup).join("kubepods/burstable/podu").exists());
}

/// Descriptors and processes before and after many pods, each with a container, a command and an attached client.
fn many_lives_leave_nothing(w: &World) {
    const LIVES: usize = 40;
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("descriptors").count();
    let processes = || {
        let own = std::env::current_exe().expect("this binary");
        let entries = std::fs::read_dir("/proc").expect("processes").flatten();
        let processes = entries.filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok()); // not `self`
        processes.filter(|e| std::fs::read_link(e.path().join("exe")).is_ok_and(|exe| exe == own)).count()
    };
    let one = |w: &World| {
        let sandbox = w.sandbox();
        let id = w.start(&sandbox, w.script("echo x; exec sleep 1000"));
        let out = w.wait(w.cri().exec_sync(&id, vec!["echo".into(), "y".into()], Some(10))).expect("runs");
        assert_eq!(out.stdout, b"y\n");
        w.wait(w.cri().remove_sandbox(&sandbox)).expect("removed");
    };
    one(w);
    // This process and the zygote.
    w.until("the first is gone", || processes() <= 2);
    let before = (descriptors(), processes());
    (0..LIVES).for_each(|_| one(w));
    w.until("as many as before", || descriptors() <= before.0 && processes() <= before.1);
}

/// Proportional memory of every shim.
fn pss_kib(w: &World) -> Vec<u64> {
    let shims = w.wait(w.cri().sandboxes()).expect("a list");
    let maps = shims.iter().filter_map(|s| std::fs::read_to_string(format!("/proc/{}/smaps_rollup", s.pid?)).ok());
    maps.filter_map(|text| text.lines().find_map(|l| l.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())).collect()
}

/// Not a limit (machines differ) but a figure to read, and a guard against something going wrong by an order.
fn starting_is_fast(w: &World) {
    const ROUNDS: usize = 10;
    let mut sandboxes = Vec::new();
    let mut times: [Vec<f64>; 3] = Default::default();
    let cri = w.cri();
    for _ in 0..ROUNDS {
        let mut clock = Instant::now();
        let mut lap = |slot: &mut Vec<f64>| {
            slot.push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        w.wait(async {
            let sandbox = cri.run_sandbox(w.sandbox_config()).await.expect("a sandbox");
            lap(&mut times[0]);
            let id = cri.create_container(&sandbox, w.script("exec sleep 1000")).await.expect("created");
            lap(&mut times[1]);
            cri.start_container(&id).await.expect("started");
            lap(&mut times[2]);
            sandboxes.push(sandbox);
        });
        if sandboxes.len() == 1 {
            println!("  one pod alone: shim PSS {:?} KiB", pss_kib(w));
        }
    }
    let pss = pss_kib(w);
    fn median(list: &mut Vec<f64>) -> f64 {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    }
    let [sandbox, create, start] = times.each_mut().map(median);
    println!("  median of {ROUNDS}: sandbox {sandbox:.1} ms, create {create:.1} ms, start {start:.1} ms; shim PSS {pss:?} KiB");
    assert!(start < 1000.0 && sandbox < 1000.0);
    const MANY: usize = 30;
    w.clean();
    let began = Instant::now();
    w.wait(async {
        let pods = (0..MANY).map(|_| {
            let (cri, pod, container) = (cri.clone(), w.sandbox_config(), w.script("exec sleep 1000"));
            tokio::spawn(async move {
                let sandbox = cri.run_sandbox(pod).await.expect("a sandbox");
                let id = cri.create_container(&sandbox, container).await.expect("created");
                cri.start_container(&id).await.expect("started");
            })
        });
        for pod in pods.collect::<Vec<_>>() {
            pod.await.expect("it starts");
        }
    });
    println!("  {MANY} pods at once: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
}
