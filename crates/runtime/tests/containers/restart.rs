//! The main process and the shim die separately.

use runtime::cri::{ContainerRuntime, ContainerState, Event, SandboxState};

use crate::world::World;

pub(crate) const TESTS: &[crate::Test] = &[
    ("a_new_main_process_finds_everything", a_new_main_process_finds_everything),
    ("a_killed_main_process_touches_nothing", a_killed_main_process_touches_nothing),
    ("a_killed_zygote_is_replaced", a_killed_zygote_is_replaced),
    ("a_hanging_shim_is_killed", a_hanging_shim_is_killed),
    ("a_killed_shim_takes_its_containers_along", a_killed_shim_takes_its_containers_along),
];

fn a_new_main_process_finds_everything(w: &World) {
    let sandbox = w.sandbox();
    let runs = w.start(&sandbox, w.script("while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 5"));
    let done = w.start(&sandbox, w.script("exit 4"));
    assert_eq!(w.ended(&done).exit_code, 4);
    let created = w.wait(w.cri().create_container(&sandbox, w.script("exit 6"))).expect("created");
    let before = w.wait(w.cri().container(&runs)).expect("it runs");
    w.reopen();
    let after = w.wait(w.cri().container(&runs)).expect("it still runs");
    assert_eq!((after.state, after.pid, after.started_at_ns), (ContainerState::Running, before.pid, before.started_at_ns));
    assert_eq!(w.wait(w.cri().container(&done)).expect("kept").exit_code, 4);
    assert_eq!(w.wait(w.cri().sandboxes()).expect("a list")[0].state, SandboxState::Ready);
    w.wait(w.cri().start_container(&created)).expect("started");
    assert_eq!(w.ended(&created).exit_code, 6);
    w.wait(w.cri().exec_sync(&runs, vec!["touch".into(), "/tmp/go".into()], None)).expect("runs");
    assert_eq!(w.ended(&runs).exit_code, 5);
}

fn a_killed_shim_takes_its_containers_along(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("sleep 1000 & exec sleep 1000"));
    let status = w.wait(w.cri().container(&id)).expect("it runs");
    let shim = w.wait(w.cri().sandboxes()).expect("a list")[0].pid.expect("a shim");
    let cri = w.cri();
    let mut events = cri.events();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim as i32), nix::sys::signal::SIGKILL).expect("ours");
    w.wait(async {
        while events.recv().await.expect("events") != (Event::SandboxGone { sandbox_id: sandbox.clone() }) {}
    });
    let ended = w.ended(&id);
    assert_eq!((ended.exit_code, ended.reason.as_str()), (255, "Unknown"));
    assert_eq!(w.wait(cri.sandboxes()).expect("a list")[0].state, SandboxState::NotReady);
    w.until("its process is gone", || {
        std::fs::read_to_string(format!("/proc/{}/stat", status.pid.expect("a pid"))).map_or(true, |s| s.contains(") Z "))
    });
}

/// The main process is another process here, so that it can really be killed.
fn a_killed_main_process_touches_nothing(w: &World) {
    use std::io::{BufRead, BufReader};
    let mut main = std::process::Command::new(std::env::current_exe().expect("this binary"))
        .args(["as-main", &w.dir.path().display().to_string(), &w.cgroup, &w.image])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a main process");
    let mut line = String::new();
    BufReader::new(main.stdout.take().expect("a pipe")).read_line(&mut line).expect("the container's id");
    let id = line.trim();
    main.kill().expect("killed"); // SIGKILL
    main.wait().expect("gone");
    w.reopen();
    let status = w.wait(w.cri().container(id)).expect("it is known");
    assert_eq!(status.state, ContainerState::Running);
    w.wait(w.cri().exec_sync(id, vec!["touch".into(), "/tmp/go".into()], None)).expect("runs");
    assert_eq!(w.ended(id).exit_code, 8);
    assert!(crate::world::log_of(&status.log_path).iter().any(|l| l.ends_with(" F after")));
}

fn a_killed_zygote_is_replaced(w: &World) {
    w.sandbox();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let ours = read("stat").rsplit(')').next().and_then(|s| s.split_whitespace().nth(1).map(str::to_owned))
            == Some(std::process::id().to_string());
        if ours && read("comm").trim() == "timonel-shim" {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).expect("ours");
        }
    }
    w.until("a sandbox is made again", || w.wait(w.cri().run_sandbox(w.sandbox_config())).is_ok());
}

/// Takes as long as the runtime is patient with a shim (5 s).
fn a_hanging_shim_is_killed(w: &World) {
    let sandbox = w.sandbox();
    let id = w.start(&sandbox, w.script("exec sleep 1000"));
    let shim = w.wait(w.cri().sandboxes()).expect("a list")[0].pid.expect("a shim");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim as i32), nix::sys::signal::SIGSTOP).expect("ours");
    w.wait(w.cri().stop_sandbox(&sandbox)).expect("stopped");
    assert_eq!(w.ended(&id).reason, "Unknown");
    assert_eq!(w.wait(w.cri().sandboxes()).expect("a list")[0].state, SandboxState::NotReady);
}
