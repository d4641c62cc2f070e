//! System call filters: the default profile of Kubernetes' `RuntimeDefault`, profiles from files (`Localhost`), and their
//! translation into the kernel's BPF (seccomp(2), Documentation/userspace-api/seccomp_filter.rst).

mod bpf;
mod default;
mod profile;
mod table;

#[cfg(test)]
mod tests;

use super::spec::Seccomp;
use super::sys;

/// A compiled filter, ready to install.
pub(crate) struct Filter {
    program: Vec<libc::sock_filter>,
    flags: u32,
}

impl Filter {
    /// Compiles what the container asked for; `None` when it is unconfined.
    pub(crate) fn compile(wanted: &Seccomp, capabilities: u64) -> Result<Option<Filter>, String> {
        let profile = match wanted {
            Seccomp::Unconfined => return Ok(None),
            Seccomp::Default => default::profile(capabilities),
            Seccomp::File(path) => {
                let text = std::fs::read(path).map_err(|e| format!("cannot load seccomp profile {}: {e}", path.display()))?;
                profile::parse(&text).map_err(|e| format!("decoding seccomp profile failed: {}: {e}", path.display()))?
            }
        };
        let program = bpf::assemble(&profile)?;
        Ok(Some(Filter { program, flags: profile.flags }))
    }

    /// Confines this process and all it will start.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        sys::seccomp_install(&self.program, self.flags)
    }
}
