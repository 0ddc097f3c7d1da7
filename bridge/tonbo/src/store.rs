//! A table of Tonbo in a folder, held so that what Tonbo does wrong can't be met:
//!
//! - one writer: the folder is locked, and a call ends when Tonbo's own tasks have ended, so no read meets a flush, and
//!   no put waits for a scan of its own thread;
//! - no snapshot is kept from one call to the next;
//! - locks that a killed process has left are removed, under our lock;
//! - merging files is not left to Tonbo: everything is rewritten into a new table ("generation");
//! - a flush that failed is found out, because the list of files has not changed;
//! - what is durable is a checkpoint, whose files are all synced. A store that was not closed is never opened again.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, BinaryArray, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use fusio::disk::LocalFs;
use futures::StreamExt;
use tonbo::db::wal_tuning::WalConfigExt;
use tonbo::db::{BatchesThreshold, DB, DbBuilder, Expr, ScalarValue, WalConfig, WalSyncPolicy};

use crate::error::{Failure, Outcome, chain, failure, status};
use crate::executor::{Watched, runtime};
use crate::files;

const LOCK: &str = "LOCK";
const CURRENT: &str = "CURRENT";
/// Rows and bytes that a compaction writes at once: what is in memory while it runs, and a file's size.
const PART_ROWS: usize = 1 << 16;
const PART_BYTES: usize = 32 << 20;

type Database = DB<LocalFs, Watched>;

fn of_tonbo(what: &str, path: &Path, error: &dyn std::error::Error) -> Failure {
    failure(status::ERR_IO, format!("Tonbo in {}: {what}: {}", path.display(), chain(error)))
}

pub struct Options {
    pub path: PathBuf,
    pub schema: SchemaRef,
    pub from: Option<PathBuf>,
    pub seal_batches: u32,
    pub compact_files: u32,
}

/// `struct bridge_tonbo_stats`
#[repr(C)]
pub struct Stats {
    pub files: u64,
    pub bytes: u64,
    pub flushes: u64,
    pub compactions: u64,
}

/// One table of Tonbo.
struct Generation {
    path: PathBuf,
    database: Option<Database>,
    watched: Watched,
    seal_batches: u32,
    unsealed: u32,
    version: u64,
    files: u64,
    bytes: u64,
    flushes: u64,
}

impl Generation {
    fn open(path: PathBuf, schema: &SchemaRef, seal_batches: u32) -> Outcome<Generation> {
        files::make(&path)?;
        files::remove_locks(&path)?;
        let watched = Watched::default();
        let key = schema.field(0).name().clone();
        let executor = Arc::new(watched.clone());
        let log = WalConfig::default().sync_policy(WalSyncPolicy::Disabled).flush_interval(std::time::Duration::ZERO);
        let database = runtime().block_on(async {
            let builder = DbBuilder::from_schema_key_name(Arc::clone(schema), key)
                .and_then(|builder| builder.on_disk(&path))
                .map_err(|error| of_tonbo("configure", &path, &error))?;
            let policy = BatchesThreshold { batches: seal_batches as usize };
            let builder = builder.with_seal_policy(Arc::new(policy)).with_minor_compaction(1, 0).wal_config(log);
            builder.open_with_executor(executor).await.map_err(|error| of_tonbo("open", &path, &error))
        })?;
        watched.opened();
        let mut generation = Generation {
            path,
            database: Some(database),
            watched,
            seal_batches,
            unsealed: 0,
            version: 0,
            files: 0,
            bytes: 0,
            flushes: 0,
        };
        generation.look()?;
        Ok(generation)
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("a table is open until it is closed")
    }

    /// Reads which files there are. Whether they are others than before.
    fn look(&mut self) -> Outcome<bool> {
        let versions = runtime().block_on(self.database().list_versions(1));
        let versions = versions.map_err(|error| of_tonbo("list files", &self.path, &error))?;
        self.watched.rest()?;
        let Some(version) = versions.first() else { return Ok(false) };
        let changed = version.timestamp.get() != self.version;
        self.version = version.timestamp.get();
        self.files = version.sst_count as u64;
        self.bytes = version.sst_bytes;
        Ok(changed)
    }

    fn put(&mut self, rows: RecordBatch, deletes: Option<Vec<bool>>) -> Outcome<()> {
        let n = rows.num_rows();
        if n == 0 {
            return Ok(());
        }
        let n_deletes = deletes.as_ref().map_or(0, |deletes| deletes.iter().filter(|deleted| **deleted).count());
        let database = self.database();
        let written = runtime().block_on(async {
            match deletes {
                Some(deletes) if n_deletes > 0 => database.ingest_with_tombstones(rows, deletes).await,
                _ => database.ingest(rows).await,
            }
        });
        let rest = self.watched.rest();
        written.map_err(|error| of_tonbo("write", &self.path, &error))?;
        rest?;
        self.unsealed += u32::from(n_deletes > 0) + u32::from(n_deletes < n);
        if self.unsealed < self.seal_batches {
            return Ok(());
        }
        self.unsealed = 0;
        if !self.look()? {
            let text = format!(
                "Tonbo in {}: a flush failed, and Tonbo does not say why: look at the disk's space",
                self.path.display()
            );
            return Err(failure(status::ERR_IO, text));
        }
        self.flushes += 1;
        Ok(())
    }

    /// Rows of a range in the order of their keys; false of `on_rows` ends it. That the order is right is checked.
    fn scan(&self, predicate: Option<Expr>, mut on_rows: impl FnMut(RecordBatch) -> Outcome<bool>) -> Outcome<()> {
        let mut scan = self.database().scan();
        if let Some(predicate) = predicate {
            scan = scan.filter(predicate);
        }
        let stream = runtime().block_on(scan.stream());
        let mut stream = Box::pin(stream.map_err(|error| of_tonbo("scan", &self.path, &error))?);
        let mut last: Option<Vec<u8>> = None;
        /* Not in block_on: what is called may block on another store. */
        while let Some(rows) = runtime().block_on(stream.next()) {
            let rows = rows.map_err(|error| of_tonbo("scan", &self.path, &error))?;
            let keys = keys_of(&rows)?;
            for i in 0..keys.len() {
                let before = if i > 0 { Some(keys.value(i - 1)) } else { last.as_deref() };
                if before.is_some_and(|before| before >= keys.value(i)) {
                    let text = format!("Tonbo in {}: a scan gave rows out of order", self.path.display());
                    return Err(failure(status::ERR_CORRUPT, text));
                }
            }
            if keys.is_empty() {
                continue;
            }
            last = Some(keys.value(keys.len() - 1).to_vec());
            if !on_rows(rows)? {
                break;
            }
        }
        drop(stream);
        self.watched.rest()
    }

    /// Afterwards no file of it is open, unless this fails: then it must neither be opened again nor removed.
    fn close(&mut self) -> Outcome<()> {
        self.database.take();
        self.watched.end()
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let _ = self.close(); /* its folder is emptied when it is opened the next time */
    }
}

pub fn keys_of(rows: &RecordBatch) -> Outcome<&BinaryArray> {
    let keys = rows.column(0).as_any().downcast_ref::<BinaryArray>();
    keys.ok_or_else(|| failure(status::ERR_INTERNAL, "keys that are not BINARY"))
}

pub struct Store {
    options: Options,
    generation: Generation,
    number: u64,
    /// Rows written since all was rewritten, and rows there were then.
    written: u64,
    rewritten: u64,
    compactions: u64,
    flushes: u64,
    /// Why it can't be used any more.
    failed: Option<String>,
    _lock: File,
}

fn lock(path: &Path) -> Outcome<File> {
    let name = path.join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&name);
    let file = opened.map_err(|error| files::failed("open", &name, &error))?;
    file.try_lock().map_err(|_| {
        let text = format!("{} is used by another process or operator: name another folder", path.display());
        failure(status::ERR_STATE, text)
    })?;
    Ok(file)
}

fn generation_path(path: &Path, number: u64) -> PathBuf {
    path.join(format!("table-{number}"))
}

/// Which generation counts; the others are removed.
fn current(path: &Path) -> Outcome<u64> {
    let name = path.join(CURRENT);
    let text = fs::read_to_string(&name).map_err(|error| files::failed("read", &name, &error))?;
    let number = text.trim().parse();
    number.map_err(|_| failure(status::ERR_CORRUPT, format!("{} does not hold a number", name.display())))
}

fn set_current(path: &Path, number: u64) -> Outcome<()> {
    let (name, new) = (path.join(CURRENT), path.join("CURRENT.new"));
    fs::write(&new, number.to_string()).map_err(|error| files::failed("write", &new, &error))?;
    fs::rename(&new, &name).map_err(|error| files::failed("write", &name, &error))
}

impl Store {
    pub fn open(options: Options) -> Outcome<Store> {
        let key = options.schema.fields().first();
        if !key.is_some_and(|key| *key.data_type() == DataType::Binary && !key.is_nullable()) {
            return Err(failure(status::ERR_USAGE, "the first column of a table in Tonbo must be BINARY NOT NULL"));
        }
        if !options.path.is_absolute() {
            let text = format!("{}: Tonbo takes absolute paths only", options.path.display());
            return Err(failure(status::ERR_USAGE, text));
        }
        files::make(&options.path)?;
        let lock = lock(&options.path)?;
        let number = match &options.from {
            Some(from) if *from == options.path => {
                let number = current(&options.path)?;
                let name = generation_path(&options.path, number);
                if !name.is_dir() {
                    return Err(failure(status::ERR_NOT_FOUND, format!("{} is not there", name.display())));
                }
                number
            }
            from => {
                files::empty(&options.path, LOCK)?;
                if let Some(from) = from {
                    files::copy(from, &generation_path(&options.path, 1))?;
                }
                set_current(&options.path, 1)?;
                1
            }
        };
        let path = generation_path(&options.path, number);
        let generation = Generation::open(path, &options.schema, options.seal_batches)?;
        Ok(Store {
            options,
            generation,
            number,
            written: 0,
            rewritten: 0,
            compactions: 0,
            flushes: 0,
            failed: None,
            _lock: lock,
        })
    }

    fn usable(&self) -> Outcome<()> {
        match &self.failed {
            Some(why) => Err(failure(status::ERR_STATE, format!("Tonbo's store is not whole any more, since: {why}"))),
            None => Ok(()),
        }
    }

    /// A failed write leaves an unknown part of itself behind.
    fn note<T>(&mut self, outcome: Outcome<T>) -> Outcome<T> {
        if let Err(failure) = &outcome {
            self.failed = Some(failure.message.clone());
        }
        outcome
    }

    pub fn put(&mut self, rows: RecordBatch, deletes: Option<Vec<bool>>) -> Outcome<()> {
        self.usable()?;
        self.written += rows.num_rows() as u64;
        let outcome = self.generation.put(rows, deletes);
        self.note(outcome)
    }

    /// For each key the batch and the row where it is found.
    pub fn get(&self, keys: &BinaryArray) -> Outcome<(Vec<RecordBatch>, Vec<Option<(usize, usize)>>)> {
        self.usable()?;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| keys.value(*at));
        let mut found = vec![None; keys.len()];
        let mut batches: Vec<RecordBatch> = Vec::new();
        let (Some(first), Some(last)) = (order.first(), order.last()) else { return Ok((batches, found)) };
        let (first, last) = (keys.value(*first), keys.value(*last));
        let literal = |key: &[u8]| ScalarValue::Binary(Some(key.to_vec()));
        let name = self.options.schema.field(0).name().as_str();
        let predicate = if first == last {
            Expr::eq(name, literal(first))
        } else {
            Expr::between(name, literal(first), literal(last), true)
        };
        let mut at = 0;
        self.generation.scan(Some(predicate), |rows| {
            let mut used = false;
            let there = keys_of(&rows)?;
            for row in 0..there.len() {
                let key = there.value(row);
                while at < order.len() && keys.value(order[at]) < key {
                    at += 1;
                }
                while at < order.len() && keys.value(order[at]) == key {
                    found[order[at]] = Some((batches.len(), row));
                    used = true;
                    at += 1;
                }
            }
            if used {
                batches.push(rows);
            }
            Ok(at < order.len())
        })?;
        Ok((batches, found))
    }

    pub fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        on_rows: impl FnMut(RecordBatch) -> Outcome<bool>,
    ) -> Outcome<()> {
        self.usable()?;
        let name = self.options.schema.field(0).name().as_str();
        let literal = |key: &[u8]| ScalarValue::Binary(Some(key.to_vec()));
        let mut parts = Vec::new();
        if !from.is_empty() {
            parts.push(Expr::gt_eq(name, literal(from)));
        }
        if let Some(to) = to {
            if to <= from {
                return Ok(());
            }
            parts.push(Expr::lt(name, literal(to)));
        }
        let predicate = match parts.len() {
            0 => None,
            1 => parts.pop(),
            _ => Some(Expr::and(parts)),
        };
        self.generation.scan(predicate, on_rows)
    }

    pub fn compact_due(&self) -> bool {
        self.generation.files >= u64::from(self.options.compact_files) && self.written >= self.rewritten
    }

    /// keep: the rows of a batch that stay.
    pub fn compact(&mut self, keep: impl FnMut(RecordBatch) -> Outcome<RecordBatch>) -> Outcome<()> {
        self.usable()?;
        let outcome = self.rewrite(keep);
        self.note(outcome)
    }

    fn rewrite(&mut self, mut keep: impl FnMut(RecordBatch) -> Outcome<RecordBatch>) -> Outcome<()> {
        let number = self.number + 1;
        let path = generation_path(&self.options.path, number);
        files::remove(&path)?;
        let mut next = Generation::open(path.clone(), &self.options.schema, 1)?;
        let schema = Arc::clone(&self.options.schema);
        let (mut part, mut part_rows, mut part_bytes, mut rows_all) = (Vec::new(), 0, 0, 0u64);
        let mut write = |part: &mut Vec<RecordBatch>| -> Outcome<()> {
            let rows = concat_batches(&schema, part.iter());
            part.clear();
            next.put(rows.map_err(|error| of_tonbo("compact", &path, &error))?, None)
        };
        self.generation.scan(None, |rows| {
            let rows = keep(rows)?;
            part_rows += rows.num_rows();
            part_bytes += rows.get_array_memory_size();
            rows_all += rows.num_rows() as u64;
            part.push(rows);
            if part_rows >= PART_ROWS || part_bytes >= PART_BYTES {
                write(&mut part)?;
                (part_rows, part_bytes) = (0, 0);
            }
            Ok(true)
        })?;
        if part_rows > 0 {
            write(&mut part)?;
        }
        if self.options.seal_batches != 1 {
            next.close()?;
            next = Generation::open(path, &self.options.schema, self.options.seal_batches)?;
        }
        set_current(&self.options.path, number)?;
        let mut old = std::mem::replace(&mut self.generation, next);
        self.number = number;
        self.flushes += old.flushes;
        self.compactions += 1;
        self.written = 0;
        self.rewritten = rows_all;
        old.close()?;
        files::remove(&old.path)
    }

    pub fn checkpoint(&mut self, path: &Path) -> Outcome<()> {
        self.usable()?;
        if path.exists() {
            return Err(failure(status::ERR_IO, format!("{} is there already", path.display())));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        files::remove(&part)?;
        let copied = files::copy(&self.generation.path, &part).and_then(|()| {
            fs::rename(&part, path).map_err(|error| files::failed("rename", &part, &error))?;
            files::sync(path.parent().unwrap_or(Path::new("/")))
        });
        if copied.is_err() {
            let _ = files::remove(&part);
        }
        copied
    }

    pub fn stats(&self) -> Stats {
        Stats {
            files: self.generation.files,
            bytes: self.generation.bytes,
            flushes: self.flushes + self.generation.flushes,
            compactions: self.compactions,
        }
    }
}
