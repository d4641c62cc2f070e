//! Users and groups, environment, wording.

use super::identity::lookup;
use super::{plain, program};
use crate::container::spec::UserSpec;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/false\n";
const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:40:web,other\nops:x:50:other\n";

fn who(user: &str, supplemental: &[u32], strict: bool) -> Result<(u32, u32, Vec<u32>, String), String> {
    let wanted = UserSpec { user: user.to_owned(), supplemental: supplemental.to_vec(), strict };
    lookup(&wanted, PASSWD, GROUP).map(|(id, home)| (id.uid, id.gid, id.groups, home))
}

#[test]
fn users_are_found_by_name_and_number() {
    assert_eq!(who("", &[], false), Ok((0, 0, vec![0], "/root".into())));
    assert_eq!(who("web", &[7, 40], false), Ok((33, 34, vec![34, 40, 7], "/var/www".into())));
    assert_eq!(who("33", &[], false), Ok((33, 34, vec![34, 40], "/var/www".into())));
    assert_eq!(who("web", &[7], true), Ok((33, 34, vec![34, 7], "/var/www".into())));
    assert_eq!(who("1000", &[], false), Ok((1000, 0, vec![0], "/".into())));
    assert_eq!(who("1000:logs", &[], false), Ok((1000, 40, vec![40], "/".into())));
    assert_eq!(who("web:50", &[], false), Ok((33, 50, vec![50, 40], "/var/www".into())));
    assert_eq!(who("nobody", &[], false), Err("unable to find user nobody: no matching entries in passwd file".into()));
    assert_eq!(who("web:none", &[], false), Err("unable to find group none: no matching entries in group file".into()));
}

#[test]
fn the_last_value_of_a_variable_wins() {
    let env = ["A=1", "B=2", "A=3"].map(str::to_owned);
    assert_eq!(program::last_wins(&env), ["A=3", "B=2"]);
}

#[test]
fn operating_system_errors_read_as_on_linux() {
    let error = std::io::Error::from_raw_os_error(libc::ENOENT);
    assert_eq!(plain(&error.to_string()), "no such file or directory");
    assert_eq!(plain(&format!("/sys/x: {error}")), "/sys/x: no such file or directory");
    assert_eq!(plain("as it is"), "as it is");
}
