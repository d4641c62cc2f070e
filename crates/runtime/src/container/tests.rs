//! Composition of specs and the fields that people see.

use std::path::Path;

use super::compose::{self, Places};
use super::{capability, plain, start_error};
use crate::cri::{ContainerConfig, Mount, NamespaceMode, Profile, SandboxConfig};
use crate::image::{ImageConfig, Rootfs};

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["cmd".into()],
        env: vec!["A=image".into()],
        user: "web:logs".into(),
        working_dir: "/srv".into(),
        stop_signal: "SIGQUIT".into(),
        ..ImageConfig::default()
    }
}

fn spec_of(config: &ContainerConfig) -> Result<super::spec::Spec, String> {
    let rootfs = Rootfs {
        lowerdirs: vec!["/l".into()],
        upper: "/u".into(),
        work: "/w".into(),
        merged: "/m".into(),
        image_config: image(),
    };
    let places = Places {
        sandbox_directory: Path::new("/pod"),
        rootfs: &rootfs,
        cgroup: "a/b",
        devices: vec![],
        apparmor_default: None,
    };
    compose::compose(&SandboxConfig { hostname: "h".into(), ..SandboxConfig::default() }, config, places)
}

#[test]
fn command_and_args_replace_entrypoint_and_cmd() {
    let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    for (command, args, expect) in [
        (&[][..], &[][..], &["/entry", "cmd"][..]),
        (&[], &["x"], &["/entry", "x"]),
        (&["c"], &[], &["c"]),
        (&["c"], &["x"], &["c", "x"]),
    ] {
        let config = ContainerConfig { command: words(command), args: words(args), ..ContainerConfig::default() };
        assert_eq!(spec_of(&config).expect("composes").argv, words(expect));
    }
}

#[test]
fn users_combine_from_pod_and_image() {
    let user = |uid: Option<i64>, gid: Option<i64>, name: Option<&str>| {
        let mut config = ContainerConfig::default();
        config.security.run_as_user = uid;
        config.security.run_as_group = gid;
        config.security.run_as_username = name.map(str::to_owned);
        spec_of(&config).map(|spec| spec.user.user)
    };
    assert_eq!(user(None, None, None).as_deref(), Ok("web:logs"));
    assert_eq!(user(Some(7), None, None).as_deref(), Ok("7"));
    assert_eq!(user(Some(7), Some(8), None).as_deref(), Ok("7:8"));
    assert_eq!(user(None, Some(8), Some("db")).as_deref(), Ok("db:8"));
    assert!(user(Some(-1), None, None).is_err());
}

#[test]
fn mounts_are_ordered_and_replace_the_pods_files() {
    let mount = |path: &str| Mount { container_path: path.into(), host_path: "/x".into(), ..Mount::default() };
    let config = ContainerConfig { mounts: vec![mount("/a/b/c"), mount("/a"), mount("/etc/hostname")], ..ContainerConfig::default() };
    let spec = spec_of(&config).expect("composes");
    let paths: Vec<_> = spec.binds.iter().map(|bind| bind.container_path.display().to_string()).collect();
    assert_eq!(paths, ["/a", "/etc/resolv.conf", "/etc/hostname", "/a/b/c"]);
}

#[test]
fn privileged_means_no_masks_no_filter_all_capabilities() {
    let mut config = ContainerConfig::default();
    let plain = spec_of(&config).expect("composes");
    assert!(!plain.masked_paths.is_empty() && plain.seccomp == super::spec::Seccomp::Default);
    config.security.privileged = true;
    let spec = spec_of(&config).expect("composes");
    assert!(spec.masked_paths.is_empty() && spec.seccomp == super::spec::Seccomp::Unconfined);
    assert_eq!(spec.capabilities, capability::ALL);
    config.security.apparmor = Profile::Localhost("p".into());
    assert!(spec_of(&config).is_err());
}

#[test]
fn capabilities_are_added_and_dropped() {
    let set = |add: &[&str], drop: &[&str]| {
        let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        capability::compute(false, &words(add), &words(drop))
    };
    let bit = |name| capability::bit(name).expect("a capability");
    assert_eq!(set(&[], &["ALL"]), Ok(0));
    assert_eq!(set(&["NET_BIND_SERVICE"], &["ALL"]), Ok(bit("NET_BIND_SERVICE")));
    assert_eq!(set(&["all"], &["cap_sys_admin"]), Ok(capability::ALL & !bit("SYS_ADMIN")));
    assert!(set(&["NOPE"], &[]).is_err());
    assert_eq!(bit("CAP_SYS_ADMIN"), 1 << 21);
}

#[test]
fn stop_signals_have_many_names() {
    let number = |name: &str| {
        compose::stop_signal(&ContainerConfig { stop_signal: Some(name.into()), ..ContainerConfig::default() }, &image())
    };
    assert_eq!(number(""), Ok(libc::SIGQUIT));
    assert_eq!(number("SIGUSR1"), Ok(libc::SIGUSR1));
    assert_eq!(number("usr2"), Ok(libc::SIGUSR2));
    assert_eq!(number("9"), Ok(9));
    assert_eq!(number("SIGRTMIN+3"), Ok(37));
    assert_eq!(number("RTMAX-1"), Ok(63));
    assert!(number("SIGNOPE").is_err());
}

#[test]
fn pid_modes_follow_the_pod() {
    let mode = |pod: NamespaceMode, container: NamespaceMode| {
        let sandbox = SandboxConfig { pid_mode: pod, ..SandboxConfig::default() };
        compose::pid_mode(&sandbox, &ContainerConfig { pid_mode: container, ..ContainerConfig::default() })
    };
    use NamespaceMode::{Container, Node, Pod, Target};
    assert_eq!(mode(Container, Container), Container);
    assert_eq!(mode(Pod, Pod), Pod);
    assert_eq!(mode(Container, Pod), Container);
    assert_eq!(mode(Node, Pod), Node);
    assert_eq!(mode(Pod, Target("x".into())), Target("x".into()));
}

#[test]
fn a_failed_start_reads_as_people_know_it() {
    assert_eq!(
        start_error("exec: \"foo\": executable file not found in $PATH"),
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to \
         start container process: exec: \"foo\": executable file not found in $PATH: unknown"
    );
    assert_eq!(plain("x"), "x");
}
