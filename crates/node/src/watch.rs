//! Waiting for changes of files without polling (inotify(7)).

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use tokio::io::unix::AsyncFd;

/// A watch of files or directories.
pub(crate) struct FileWatch(AsyncFd<OwnedFd>);

const NEWS_BYTES: usize = 4096;

impl FileWatch {
    /// Nothing is watched yet.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor needs unsafe; an OwnedFd stays open for as long as it is registered")]
        let registered = AsyncFd::new(fd)?;
        Ok(Self(registered))
    }

    /// Watches a directory for files that come, go or are written whole.
    pub(crate) fn directory(&self, dir: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVE | WatchFlags::DELETE;
        inotify::add_watch(self.0.get_ref(), dir, flags)?;
        Ok(())
    }

    /// Watches a directory for everything that happens to logs: growth, rotation, removal.
    pub(crate) fn logs(&self, dir: &Path) -> io::Result<()> {
        let flags = WatchFlags::MODIFY | WatchFlags::MOVE | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::DELETE_SELF;
        inotify::add_watch(self.0.get_ref(), dir, flags)?;
        Ok(())
    }

    /// Waits until something has happened since the last call.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        let mut news = [0u8; NEWS_BYTES];
        // What happened does not matter, only that something did: drain it all.
        while rustix::io::read(self.0.get_ref(), &mut news).is_ok_and(|n| n > 0) {}
        guard.clear_ready();
        Ok(())
    }
}
