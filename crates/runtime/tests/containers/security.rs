//! Users, capabilities, read-only roots, seccomp, masked paths, devices, privileged containers; beside runc where cheap.

use runtime::cri::{ContainerRuntime, Profile};

use crate::world::World;

pub(crate) const TESTS: &[crate::Test] = &[
    ("users_and_groups", users_and_groups),
    ("capabilities", capabilities),
    ("read_only_root", read_only_root),
    ("seccomp_denies", seccomp_denies),
    ("a_seccomp_profile_of_ones_own", a_seccomp_profile_of_ones_own),
    ("paths_are_masked", paths_are_masked),
    ("devices_are_limited", devices_are_limited),
    ("privileged", privileged),
    ("nothing_leaks_into_a_container", nothing_leaks_into_a_container),
    ("words_are_those_of_runc", words_are_those_of_runc),
];

/// The same failure in both, from the same root file system.
fn words_are_those_of_runc(w: &World) {
    let bundle = w.dir.path().join("bundle");
    let root = bundle.join("rootfs");
    for dir in ["bin", "etc"] {
        std::fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    std::fs::write(root.join("bin/not-executable"), "text").expect("a file");
    let runc = |args: &[&str]| std::process::Command::new("runc").current_dir(&bundle).args(args).output();
    if !runc(&["spec"]).is_ok_and(|out| out.status.success()) {
        println!("skipped: containers::words_are_those_of_runc: no runc");
        return;
    }
    let path = bundle.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("a spec")).expect("JSON");
    spec["process"]["terminal"] = false.into();
    spec["process"]["rlimits"] = serde_json::json!([]);
    let sandbox = w.sandbox();
    for command in ["foo", "/foo", "/bin/not-executable"] {
        spec["process"]["args"] = serde_json::json!([command]);
        std::fs::write(&path, spec.to_string()).expect("written");
        let name = format!("timonel-runc-{}", std::process::id());
        let theirs = String::from_utf8_lossy(&runc(&["--log-format", "json", "run", &name]).expect("runs").stderr).into_owned();
        let theirs: serde_json::Value = serde_json::from_str(theirs.lines().next().expect("a line")).expect("JSON");
        let theirs = theirs["msg"].as_str().expect("a message").trim_start_matches("runc run failed: ").to_owned();
        let mut config = w.script("");
        config.command = vec![command.into()];
        let cri = w.cri();
        let ours = w.wait(async {
            let id = cri.create_container(&sandbox, config).await.expect("created");
            cri.start_container(&id).await.expect_err("it cannot start").to_string()
        });
        assert!(ours.ends_with(&format!("runc create failed: {theirs}: unknown")), "{ours} / {theirs}");
    }
}

fn nothing_leaks_into_a_container(w: &World) {
    let out = w.output(w.script("ls /proc/self/fd | wc -l; cat /proc/self/cgroup | grep -c kubepods; ls -a / | grep -c put_old; env | wc -l"));
    // Its three streams and the directory that `ls` reads. PATH, FROM_IMAGE, HOSTNAME, HOME, PWD, SHLVL.
    assert_eq!(out, ["4", "0", "0", "6"]);
    let mut config = w.script("true");
    config.working_dir = "/proc/self/fd/5".into();
    let sandbox = w.sandbox();
    let cri = w.cri();
    let started = w.wait(async {
        let id = cri.create_container(&sandbox, config).await.expect("created");
        cri.start_container(&id).await
    });
    assert!(started.is_err(), "a working directory through a descriptor");
}

fn users_and_groups(w: &World) {
    let mut config = w.script("id -u; id -g; id -G; echo $HOME; grep NoNewPrivs /proc/self/status; echo x > /dev/stdout");
    config.security.run_as_username = Some("web".into());
    config.security.supplemental_groups = vec![2000];
    config.security.no_new_privs = true;
    assert_eq!(w.output(config), ["33", "34", "34 40 2000", "/tmp", "NoNewPrivs:\t1", "x"]);
    let mut config = w.script("id -u; id -g; id -G");
    config.security.run_as_user = Some(33);
    config.security.run_as_group = Some(50);
    config.security.supplemental_groups_strict = true;
    let (status, log) = w.run(config);
    assert_eq!(status.user, Some((33, 50, vec![50])));
    assert!(log[2].ends_with(" 50"), "{log:?}");
}

fn capabilities(w: &World) {
    let show = "grep Cap /proc/self/status | while read a b; do echo $a$b; done";
    let out = w.output(w.script(show));
    assert_eq!(out[0], "CapInh:0000000000000000");
    assert_eq!(&out[1..4], ["CapPrm:00000000a80425fb", "CapEff:00000000a80425fb", "CapBnd:00000000a80425fb"]);
    let mut config = w.script(show);
    config.security.drop_capabilities = vec!["ALL".into()];
    config.security.add_capabilities = vec!["NET_BIND_SERVICE".into()];
    assert_eq!(w.output(config)[2], "CapEff:0000000000000400");
    let mut config = w.script(show);
    config.security.run_as_user = Some(1000);
    let out = w.output(config);
    assert_eq!((out[2].as_str(), out[3].as_str()), ("CapEff:0000000000000000", "CapBnd:00000000a80425fb"));
}

fn read_only_root(w: &World) {
    let mut config = w.script("touch /x 2>/dev/null && echo wrote || echo refused; touch /dev/shm/x && echo shm");
    config.security.readonly_rootfs = true;
    assert_eq!(w.output(config), ["refused", "shm"]);
}

fn seccomp_denies(w: &World) {
    let script = "unshare -U true 2>/dev/null && echo allowed || echo denied; grep Seccomp: /proc/self/status";
    assert_eq!(w.output(w.script(script)), ["denied", "Seccomp:\t2"]);
    let mut config = w.script(script);
    config.security.no_new_privs = true;
    assert_eq!(w.output(config), ["denied", "Seccomp:\t2"]);
    let mut config = w.script(script);
    config.security.seccomp = Profile::Unconfined;
    assert_eq!(w.output(config), ["allowed", "Seccomp:\t0"]);
}

fn a_seccomp_profile_of_ones_own(w: &World) {
    let path = w.dir.path().join("profile.json");
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&path, profile).expect("a file");
    let mut config = w.script("mkdir /x 2>/dev/null || echo denied; touch /y && echo fine");
    config.security.seccomp = Profile::Localhost(path.display().to_string());
    assert_eq!(w.output(config), ["denied", "fine"]);
}

fn paths_are_masked(w: &World) {
    let script = "cat /proc/kcore 2>/dev/null | wc -c; ls /sys/firmware | wc -l; echo 1 2>/dev/null > /proc/sys/kernel/domainname || echo refused; \
                  touch /sys/x 2>/dev/null || echo sealed";
    assert_eq!(w.output(w.script(script)), ["0", "0", "refused", "sealed"]);
}

fn devices_are_limited(w: &World) {
    let script = "head -c 4 /dev/urandom | wc -c; echo x > /dev/null; mknod /tmp/mem c 1 1; head -c1 /tmp/mem 2>/dev/null || echo denied; \
                  ls /dev | grep -c -x -e fd -e full -e null -e ptmx -e pts -e random -e shm -e stdin -e tty -e urandom -e zero";
    assert_eq!(w.output(w.script(script)), ["4", "denied", "11"]);
    let mut config = w.script("head -c 2 /dev/mine | wc -c");
    config.devices =
        vec![runtime::cri::Device { container_path: "/dev/mine".into(), host_path: "/dev/zero".into(), permissions: "r".into() }];
    assert_eq!(w.output(config), ["2"]);
}

fn privileged(w: &World) {
    let mut config = w.script("ls /dev | wc -l; mkdir /m && mount -t tmpfs none /m && echo mounted; echo $(grep Seccomp: /proc/self/status)");
    config.security.privileged = true;
    let out = w.output(config);
    assert!(out[0].parse::<u32>().expect("a number") >= 15, "{out:?}");
    assert_eq!(out[1..], ["mounted", "Seccomp: 0"]);
}
