//! What is the operator's own.
//!
//! Invariant: what passed [`check`] belongs to the user that this process acts as, and nobody else may write it. It is
//! asked of an open file, or of a folder that holds nothing but what is asked again.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Who else may do what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    MayRead,
    MayNothing,
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, OpenOptions};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

    use super::*;

    pub(in super::super) fn create_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Opens a file for reading: no link is followed, and what is not a file does not make anybody wait.
    pub(in super::super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
    }

    /// Whether an error of [`open`] says that there is a link.
    pub(in super::super) fn is_link(error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::ELOOP)
    }

    /// Says what is wrong with who may do what.
    pub(in super::super) fn check(metadata: &Metadata, others: Others) -> Result<(), String> {
        // SAFETY: it has no arguments and cannot fail.
        let user = unsafe { libc::geteuid() };
        if metadata.uid() != user {
            return Err(format!("it belongs to the user with number {}, this is the one with {user}", metadata.uid()));
        }
        let (forbidden, what) = match others {
            Others::MayRead => (0o022, "write it"),
            Others::MayNothing => (0o077, "read or write it"),
        };
        let mode = metadata.mode() & 0o777;
        if mode & forbidden != 0 {
            return Err(format!(
                "its mode is {mode:o}: others may {what}; take that away with `chmod go={}`",
                match others {
                    Others::MayRead => "rX",
                    Others::MayNothing => "",
                }
            ));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod system {
    use super::*;

    pub(in super::super) fn create_folder(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    pub(in super::super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(in super::super) fn is_link(_: &io::Error) -> bool {
        false
    }

    pub(in super::super) fn check(_: &Metadata, _: Others) -> Result<(), String> {
        Err("on this system it cannot be told who else may write it".into())
    }
}

pub(super) use system::{check, create_folder, is_link, open};

/// Checks a folder.
pub(super) fn check_folder(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is not a folder".into());
    }
    check(&metadata, Others::MayRead)
}
