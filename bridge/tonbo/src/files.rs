//! Copies and removals of whole folders, and what makes them durable.
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Failure, Outcome, failure, status};

pub fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let kind = if error.kind() == ErrorKind::NotFound { status::ERR_NOT_FOUND } else { status::ERR_IO };
    failure(kind, format!("{what} {}: {error}", path.display()))
}

pub fn make(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|error| failed("make the folder", path, &error))
}

pub fn sync(path: &Path) -> Outcome<()> {
    let file = File::open(path).map_err(|error| failed("open", path, &error))?;
    file.sync_all().map_err(|error| failed("make durable", path, &error))
}

fn entries(path: &Path) -> Outcome<Vec<fs::DirEntry>> {
    let listed = fs::read_dir(path).and_then(|entries| entries.collect());
    listed.map_err(|error| failed("list", path, &error))
}

/// Everything in a folder but one file.
pub fn empty(path: &Path, but: &str) -> Outcome<()> {
    for entry in entries(path)? {
        if entry.file_name() != but {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

pub fn remove(path: &Path) -> Outcome<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

/// What a process that was killed in the middle of a change has left: Tonbo never takes such a lock over.
pub fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

pub fn remove_locks(path: &Path) -> Outcome<()> {
    for entry in entries(path)? {
        let path = entry.path();
        if path.is_dir() {
            remove_locks(&path)?;
        } else if is_lock(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// A folder with all below it. Files of data (.parquet) are never written again, so a link is a copy of them; all others
/// are copied. Locks stay behind. Durable when it returns.
pub fn copy(from: &Path, to: &Path) -> Outcome<()> {
    make(to)?;
    for entry in entries(from)? {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else if !is_lock(&source) {
            let is_data = source.extension().is_some_and(|extension| extension == "parquet");
            if !is_data || fs::hard_link(&source, &target).is_err() {
                fs::copy(&source, &target).map_err(|error| failed("copy", &source, &error))?;
            }
            sync(&target)?;
        }
    }
    sync(to)
}
