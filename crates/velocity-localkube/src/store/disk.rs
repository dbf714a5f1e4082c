//! The database file: the current objects and the revision, nothing else.

use std::fs::OpenOptions;
#[cfg(unix)]
use std::fs::Permissions;
#[cfg(unix)]
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::state::{Change, Event, Key, Object, State};

/// Key: table, namespace, name. Value: the object's JSON.
const OBJECTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
const OPEN_ATTEMPTS: u32 = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    #[error("cannot use {0} as the Kubernetes store")]
    Database(PathBuf, #[source] Box<redb::Error>),
    #[error("{path}: object {key} is not JSON")]
    Object { path: PathBuf, key: String, source: serde_json::Error },
    #[error("cannot start the writer thread")]
    Thread(#[source] std::io::Error),
}

pub(super) struct Disk {
    database: Database,
}

impl Disk {
    pub(super) fn open(path: &Path, history: usize) -> Result<(Self, State), DiskError> {
        let broken = |error: redb::Error| DiskError::Database(path.to_owned(), Box::new(error));
        Self::keep_private(path).map_err(|error| broken(redb::Error::Io(error)))?;
        let database = Self::open_database(path)?;
        let disk = Self { database };
        disk.create_tables().map_err(broken)?;
        let state = disk.load(path, history)?;
        Ok((disk, state))
    }

    /// The file holds Secrets, so it is its owner's alone, also where an earlier version made it for everyone to read.
    fn keep_private(path: &Path) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(path)?;
        #[cfg(unix)]
        file.set_permissions(Permissions::from_mode(0o600))?;
        drop(file);
        Ok(())
    }

    /// An instance in this process that was just dropped may need a moment to let go of the file.
    fn open_database(path: &Path) -> Result<Database, DiskError> {
        let mut attempt = 0;
        loop {
            match Database::create(path) {
                Ok(database) => return Ok(database),
                Err(redb::DatabaseError::DatabaseAlreadyOpen) if attempt < OPEN_ATTEMPTS => {
                    attempt += 1;
                    std::thread::sleep(OPEN_PAUSE);
                }
                Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                    return Err(DiskError::InUse(path.to_owned()));
                }
                Err(other) => return Err(DiskError::Database(path.to_owned(), Box::new(other.into()))),
            }
        }
    }

    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(COUNTERS)?;
        transaction.commit()?;
        Ok(())
    }

    fn load(&self, path: &Path, history: usize) -> Result<State, DiskError> {
        let mut objects = Vec::new();
        let revision = self
            .read_all(&mut objects)
            .map_err(|error| DiskError::Database(path.to_owned(), Box::new(error)))?;
        let mut state = State::new(revision, history);
        for (key, bytes) in objects {
            let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|source| {
                let key = format!("{} {}/{}", key.table, key.namespace, key.name);
                DiskError::Object { path: path.to_owned(), key, source }
            })?;
            let revision =
                value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
            state.load(&key, Arc::new(Object { value, revision }));
        }
        Ok(state)
    }

    fn read_all(&self, objects: &mut Vec<(Key, Vec<u8>)>) -> Result<u64, redb::Error> {
        let transaction = self.database.begin_read()?;
        for entry in transaction.open_table(OBJECTS)?.iter()? {
            let (key, value) = entry?;
            let (table, namespace, name) = key.value();
            let key = Key { table: table.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
            objects.push((key, value.value().to_vec()));
        }
        Ok(transaction.open_table(COUNTERS)?.get(REVISION)?.map_or(0, |revision| revision.value()))
    }

    /// Writes a batch in one transaction that is on disk when this returns.
    pub(super) fn commit(&self, events: &[Arc<Event>]) -> Result<(), Box<redb::Error>> {
        self.write(events).map_err(Box::new)
    }

    fn write(&self, events: &[Arc<Event>]) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            let mut counters = transaction.open_table(COUNTERS)?;
            for event in events {
                let key = (event.key.table.as_str(), event.key.namespace.as_str(), event.key.name.as_str());
                if event.change == Change::Deleted {
                    objects.remove(key)?;
                } else {
                    objects.insert(key, event.object.value.to_string().as_bytes())?;
                }
                counters.insert(REVISION, event.revision)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
