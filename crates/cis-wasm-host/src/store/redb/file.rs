//! The file: opening it, its format, and what is wrong with one that is another's.

use std::io;
use std::path::Path;

use redb::{Database, DatabaseError, ReadableTable, StorageError};

use super::{DEAD, ENDED, ENTRIES, EVENTS, FORMAT, JOURNALS, NAME, RESUMED, USAGE, VERSION};
use crate::{BackendError, BackendErrorKind};

/// Opens a file, or makes it. Gives the store's name too.
pub(super) fn open(path: &Path) -> Result<(Database, String), BackendError> {
    let fail = |why: String| BackendError::new(BackendErrorKind::Failed, format!("{}: {why}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| fail(format!("cannot create its folder: {error}")))?;
    let database = Database::create(path).map_err(|error| fail(open_error(error)))?;
    let name = prepare(&database).map_err(|error| match error {
        Unprepared::Version(version) => fail(format!(
            "it has version {version} of the memory's format, and this program knows {VERSION}; update it"
        )),
        Unprepared::Redb(
            error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. }),
        ) => fail(format!("it is a redb file of another program ({error}); choose another path")),
        Unprepared::Redb(error) => fail(error.to_string()),
        Unprepared::NoName(error) => fail(format!("no randomness for the store's name: {error}")),
    })?;
    sync_folder(folder).map_err(|error| fail(format!("cannot sync its folder: {error}")))?;
    Ok((database, name))
}

fn open_error(error: DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            "another process has this file open, and only one can; stop it, or choose another path".into()
        }
        DatabaseError::UpgradeRequired(version) => {
            format!("it has version {version} of redb's file format, which this program does not read")
        }
        DatabaseError::Storage(StorageError::Corrupted(why)) => {
            format!("it is not a redb file, or it is damaged ({why}); choose another path or restore it from a backup")
        }
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::PermissionDenied => "no permission to read and write it".into(),
            io::ErrorKind::InvalidData => {
                format!("it is not a redb file ({error}); choose another path")
            }
            _ => error.to_string(),
        },
        error => error.to_string(),
    }
}

enum Unprepared {
    NoName(getrandom::Error),
    Redb(redb::Error),
    Version(u64),
}

impl<E: Into<redb::Error>> From<E> for Unprepared {
    fn from(error: E) -> Self {
        Unprepared::Redb(error.into())
    }
}

/// Checks the format's version, and makes the tables and the name of a new file.
fn prepare(database: &Database) -> Result<String, Unprepared> {
    let transaction = database.begin_write()?;
    let name;
    {
        let mut format = transaction.open_table(FORMAT)?;
        let found = format.get("version")?.map(|version| version.value());
        match found {
            Some(VERSION) => {}
            Some(other) => return Err(Unprepared::Version(other)),
            None => {
                format.insert("version", VERSION)?;
            }
        }
        transaction.open_table(ENTRIES)?;
        transaction.open_table(USAGE)?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(JOURNALS)?;
        transaction.open_table(DEAD)?;
        transaction.open_table(RESUMED)?;
        transaction.open_table(ENDED)?;
        let mut names = transaction.open_table(NAME)?;
        let found = names.get("name")?.map(|name| name.value().to_owned());
        name = match found {
            Some(name) => name,
            None => {
                let name = new_name().map_err(Unprepared::NoName)?;
                names.insert("name", &*name)?;
                name
            }
        };
    }
    transaction.commit()?;
    Ok(name)
}

/// A new file is there for good only when its folder's entry is on the disk too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn new_name() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
