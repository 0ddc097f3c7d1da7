//! HDFS: files and folders below one namenode.
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdfs_native::client::{ClientBuilder, FileStatus, WriteOptions};
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, HdfsError};

use crate::error::{Failure, Outcome, chain, failure, status};
use crate::{Settings, Stat};

pub struct Hdfs {
    client: Client,
    url: String,
    timeout: Duration,
    first_retries: usize,
    retries: usize,
    patience: Duration,
    reached: AtomicBool,
}

pub struct Writer {
    writer: FileWriter,
    timeout: Duration,
    url: String,
}

/// The namenode sends the stack of its exception along: only the first line says something.
fn failed(url: &str, error: HdfsError) -> Failure {
    let text = chain(&error);
    let text = text.lines().next().unwrap_or_default();
    let (code, advice) = match &error {
        HdfsError::FileNotFound(_) => (status::ERR_NOT_FOUND, String::new()),
        HdfsError::IOError(_) | HdfsError::DataTransferError(_) | HdfsError::OperationFailed(_) => {
            (status::ERR_IO, format!("; is the namenode at {url}, are datanodes alive, and can they be reached?"))
        }
        _ if text.contains("AccessControlException") => {
            (status::ERR_IO, "; 'hdfs.user' says as whom files are read and written".to_string())
        }
        _ => (status::ERR_IO, String::new()),
    };
    failure(code, format!("{text}{advice}"))
}

fn late(url: &str, timeout: Duration) -> Failure {
    let why = format!(
        "no answer within {} s; is the namenode at {url}, are datanodes alive? 'store.timeout' says how long to wait",
        timeout.as_secs_f64()
    );
    failure(status::ERR_IO, why)
}

/// Failures of the network pass; what the namenode has decided does not.
fn may_pass(error: &HdfsError) -> bool {
    match error {
        HdfsError::IOError(_) | HdfsError::DataTransferError(_) => true,
        HdfsError::RPCError(class, _) => class.contains("SafeModeException") || class.contains("RetriableException"),
        _ => false,
    }
}

fn stat_of(found: &FileStatus) -> Stat {
    Stat { size: found.length as u64, modified_ms: found.modification_time as i64, is_directory: found.isdir }
}

impl Hdfs {
    pub fn open(url: &str, settings: &Settings) -> Outcome<Hdfs> {
        let mut builder = ClientBuilder::new().with_url(url).with_io_runtime(crate::runtime().handle().clone());
        if let Some(user) = settings.get("hdfs.user", &[]) {
            builder = builder.with_user(user);
        }
        /* Where there is one namenode, trying again is our affair alone; among several the client looks for the one
         * that is active. */
        if url.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            builder = builder.with_config([("dfs.client.failover.max.attempts", "0")]);
        }
        let client = builder.build().map_err(|e| failed(url, e))?;
        Ok(Hdfs {
            client,
            url: url.to_string(),
            timeout: settings.timeout,
            first_retries: settings.first_retries(),
            retries: settings.retries,
            patience: settings.patience(),
            reached: AtomicBool::new(false),
        })
    }

    /// Tries again with growing pauses what failed on the way; much is forgiven a namenode that has answered before.
    async fn tried<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Result<HdfsError, ()>>
    where
        F: Future<Output = hdfs_native::Result<T>>,
    {
        let mut pause = Duration::from_millis(100);
        let mut left = if self.reached.load(Ordering::Relaxed) { self.retries } else { self.first_retries };
        let begun = Instant::now();
        loop {
            let error = match tokio::time::timeout(self.timeout, call()).await {
                Ok(Ok(value)) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Ok(value);
                }
                Ok(Err(error)) if !may_pass(&error) => return Err(Ok(error)),
                Ok(Err(error)) => Ok(error),
                Err(_) => Err(()),
            };
            /* no answer at all: of a namenode that never gave one the address may be wrong */
            let gives_up = error.is_err() && !self.reached.load(Ordering::Relaxed);
            if left == 0 || gives_up || begun.elapsed() > self.patience {
                return Err(error);
            }
            left -= 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    fn told(&self, error: Result<HdfsError, ()>) -> Failure {
        match error {
            Ok(error) => failed(&self.url, error),
            Err(()) => late(&self.url, self.timeout),
        }
    }

    pub async fn stat(&self, path: &str) -> Outcome<Stat> {
        let found = self.tried(|| self.client.get_file_info(path)).await.map_err(|e| self.told(e))?;
        Ok(stat_of(&found))
    }

    pub async fn make_dirs(&self, path: &str) -> Outcome<()> {
        self.tried(|| self.client.mkdirs(path, 0o755, true)).await.map_err(|e| self.told(e))
    }

    pub async fn list(&self, path: &str) -> Outcome<Vec<(String, Stat)>> {
        let found = match self.tried(|| self.client.list_status(path, false)).await {
            Ok(found) => found,
            Err(Ok(HdfsError::FileNotFound(_))) => Vec::new(),
            Err(error) => return Err(self.told(error)),
        };
        let name = |found: &FileStatus| found.path.rsplit('/').next().unwrap_or("").to_string();
        Ok(found.iter().map(|found| (name(found), stat_of(found))).collect())
    }

    pub async fn read(&self, path: &str, offset: u64, target: &mut [u8]) -> Outcome<()> {
        let size = target.len();
        let got = self
            .tried(|| async {
                let reader = self.client.read(path).await?;
                reader.read_range(offset as usize, size).await
            })
            .await
            .map_err(|e| self.told(e))?;
        if got.len() != size {
            return Err(failure(status::ERR_IO, "the file is shorter than it was"));
        }
        target.copy_from_slice(&got);
        Ok(())
    }

    /// A hidden file of its own name, whole and durable, then a rename that replaces nothing.
    pub async fn put_new(&self, path: &str, data: &[u8]) -> Outcome<bool> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let hidden = format!("{folder}/.{name}.{}.{unique}.tmp", std::process::id());
        let mut writer = self.create(&hidden).await?;
        writer.write(data).await?;
        writer.finish().await?;
        match self.tried(|| self.client.rename(&hidden, path, false)).await {
            Ok(()) => return Ok(true),
            /* An answer that was lost makes the repeated rename fail: look whose file it is. */
            Err(Ok(HdfsError::AlreadyExists(_) | HdfsError::FileNotFound(_))) => {}
            Err(error) => return Err(self.told(error)),
        }
        let won = self.stat(path).await?.size == data.len() as u64 && {
            let mut there = vec![0; data.len()];
            self.read(path, 0, &mut there).await?;
            there == data
        };
        let _ = self.tried(|| self.client.delete(&hidden, false)).await;
        Ok(won)
    }

    pub async fn remove(&self, path: &str, tree: bool) -> Outcome<()> {
        match self.tried(|| self.client.delete(path, tree)).await {
            Ok(_) | Err(Ok(HdfsError::FileNotFound(_))) => Ok(()),
            Err(error) => Err(self.told(error)),
        }
    }

    pub async fn rename(&self, from: &str, to: &str) -> Outcome<()> {
        self.tried(|| self.client.rename(from, to, true)).await.map_err(|e| self.told(e))
    }

    pub async fn create(&self, path: &str) -> Outcome<Writer> {
        let options = WriteOptions::default().overwrite(true).create_parent(true);
        let writer = self.tried(|| self.client.create(path, &options)).await.map_err(|e| self.told(e))?;
        /* what can't be tried again is waited for as long as trying would take */
        Ok(Writer { writer, timeout: self.patience, url: self.url.clone() })
    }
}

impl Writer {
    /// A write is not tried again: how much of it has arrived is not known.
    pub async fn write(&mut self, data: &[u8]) -> Outcome<()> {
        match tokio::time::timeout(self.timeout, self.writer.write_bytes(Bytes::copy_from_slice(data))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(&self.url, error)),
            Err(_) => Err(late(&self.url, self.timeout)),
        }
    }

    /// On the datanodes, none of it in flight any more.
    pub async fn flush(&mut self) -> Outcome<()> {
        match tokio::time::timeout(self.timeout, self.writer.hsync()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&self.url, error)),
            Err(_) => Err(late(&self.url, self.timeout)),
        }
    }

    /// On the datanodes' disks, and closed.
    pub async fn finish(&mut self) -> Outcome<()> {
        let end = async {
            self.writer.hsync().await?;
            self.writer.close().await
        };
        match tokio::time::timeout(self.timeout, end).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&self.url, error)),
            Err(_) => Err(late(&self.url, self.timeout)),
        }
    }
}
