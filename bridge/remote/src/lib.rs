//! The C ABI of this crate: one table of functions, `sabot_remote`; `bridge_remote.h` is its contract.
mod error;
mod hdfs;
mod s3;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{ptr, slice};

use error::{Failure, Outcome, SabotError, failure, guard, status};
use futures::future::{Either, select};
use tokio::runtime::{Builder, Runtime};

/// One for the process: two threads, on which all requests run. Callers block on them.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sabot-remote")
            .enable_all()
            .build()
            .expect("a thread for remote files can be started")
    })
}

pub struct Settings {
    values: HashMap<String, String>,
    pub timeout: Duration,
    pub retries: usize,
}

/// Of a server that has not answered yet: a wrong address is told soon.
const FIRST_RETRIES: usize = 5;

impl Settings {
    pub fn first_retries(&self) -> usize {
        self.retries.min(FIRST_RETRIES)
    }

    /// How long a request is tried again in all.
    pub fn patience(&self) -> Duration {
        self.timeout * 3
    }

    /// A setting, or else the environment's.
    pub fn get(&self, key: &str, variables: &[&str]) -> Option<String> {
        let set = self.values.get(key).filter(|value| !value.is_empty()).cloned();
        set.or_else(|| variables.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty())))
    }
}

pub struct Stat {
    pub size: u64,
    pub modified_ms: i64,
    pub is_directory: bool,
}

pub enum Fs {
    S3(s3::S3),
    Hdfs(hdfs::Hdfs),
}

pub struct Client {
    fs: Fs,
    stop: &'static AtomicBool, /* of the caller, which outlives this */
}

/// Once the caller is to stop, what is left to do (uploads to abort, files to remove) may take so long each.
const GRACE: Duration = Duration::from_secs(2);

/// Does a request on the caller's thread, until it is done or the caller is to stop.
fn wait<T>(client: &Client, request: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let stopped = async {
        while !client.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(GRACE).await;
    };
    match runtime().block_on(select(pin!(request), pin!(stopped))) {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(failure(status::ERR_CANCELLED, "given up, because the job is over")),
    }
}

unsafe fn text<'a>(text: *const c_char) -> Outcome<&'a str> {
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| failure(status::ERR_USAGE, "a path that is not UTF-8"))
}

unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 { &[] } else { unsafe { slice::from_raw_parts(data, size) } }
}

/// Puts a text with its NUL into the caller's buffer.
unsafe fn put_text(text: &str, target: *mut c_char, size: usize) -> Outcome<()> {
    if text.len() + 1 > size || text.contains(['\0', '\n', ' ']) {
        return Err(failure(status::ERR_IO, format!("the server's answer \"{text}\" can't be kept")));
    }
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), target, text.len());
        *target.add(text.len()) = 0;
    }
    Ok(())
}

fn not_here(what: &str) -> Failure {
    failure(status::ERR_INTERNAL, format!("{what} is not for this kind of store"))
}

/// A file of HDFS that is being written. Whoever has it has the client too.
pub struct CWriter {
    writer: hdfs::Writer,
    client: *const Client,
}

type OnEntry = unsafe extern "C" fn(*mut c_void, *const u8, usize, *const CStat) -> i32;
type OnUpload = unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize) -> i32;

#[repr(C)]
pub struct CStat {
    size: u64,
    modified_ms: i64,
    is_directory: bool,
}

impl From<&Stat> for CStat {
    fn from(stat: &Stat) -> CStat {
        CStat { size: stat.size, modified_ms: stat.modified_ms, is_directory: stat.is_directory }
    }
}

unsafe extern "C" fn open(
    url: *const c_char,
    keys: *const *const c_char,
    values: *const *const c_char,
    n: usize,
    timeout_ms: u64,
    retries: u32,
    stop: *const AtomicBool,
    out: *mut *mut Client,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let mut settings =
            Settings { values: HashMap::new(), timeout: Duration::from_millis(timeout_ms), retries: retries as usize };
        for i in 0..n {
            settings.values.insert(text(*keys.add(i))?.to_string(), text(*values.add(i))?.to_string());
        }
        let url = text(url)?;
        let fs = if url.starts_with("hdfs://") {
            Fs::Hdfs(hdfs::Hdfs::open(url, &settings)?)
        } else {
            Fs::S3(s3::S3::open(url, &settings)?)
        };
        *out = Box::into_raw(Box::new(Client { fs, stop: &*stop }));
        Ok(())
    })
}

unsafe extern "C" fn close(client: *mut Client) {
    if !client.is_null() {
        guard(ptr::null_mut(), || {
            drop(unsafe { Box::from_raw(client) });
            Ok(())
        });
    }
}

unsafe extern "C" fn stat(client: *const Client, path: *const c_char, out: *mut CStat, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        let path = text(path)?;
        let stat = wait(&*client, async {
            match &(*client).fs {
                Fs::S3(fs) => fs.stat(path).await,
                Fs::Hdfs(fs) => fs.stat(path).await,
            }
        })?;
        out.write(CStat::from(&stat));
        Ok(())
    })
}

unsafe extern "C" fn make_dirs(client: *const Client, path: *const c_char, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        match &(*client).fs {
            Fs::S3(_) => Ok(()),
            Fs::Hdfs(fs) => wait(&*client, fs.make_dirs(text(path)?)),
        }
    })
}

unsafe extern "C" fn list(
    client: *const Client,
    path: *const c_char,
    on_entry: OnEntry,
    context: *mut c_void,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let path = text(path)?;
        let entries = wait(&*client, async {
            match &(*client).fs {
                Fs::S3(fs) => fs.list(path).await,
                Fs::Hdfs(fs) => fs.list(path).await,
            }
        })?;
        for (name, stat) in &entries {
            let given = on_entry(context, name.as_ptr(), name.len(), &CStat::from(stat));
            if given != status::OK {
                return Err(failure(given, "the list of files is too long for memory"));
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn read(
    client: *const Client,
    path: *const c_char,
    offset: u64,
    target: *mut u8,
    size: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let path = text(path)?;
        let target = slice::from_raw_parts_mut(target, size);
        wait(&*client, async {
            match &(*client).fs {
                Fs::S3(fs) => fs.read(path, offset, target).await,
                Fs::Hdfs(fs) => fs.read(path, offset, target).await,
            }
        })
    })
}

unsafe extern "C" fn put_new(
    client: *const Client,
    path: *const c_char,
    data: *const u8,
    size: usize,
    won: *mut bool,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let path = text(path)?;
        let data = bytes(data, size);
        *won = wait(&*client, async {
            match &(*client).fs {
                Fs::S3(fs) => fs.put_new(path, data).await,
                Fs::Hdfs(fs) => fs.put_new(path, data).await,
            }
        })?;
        Ok(())
    })
}

unsafe extern "C" fn put(
    client: *const Client,
    path: *const c_char,
    data: *const u8,
    size: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("put")) };
        wait(&*client, fs.put(text(path)?, bytes(data, size)))
    })
}

unsafe extern "C" fn remove(client: *const Client, path: *const c_char, tree: bool, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        let path = text(path)?;
        wait(&*client, async {
            match &(*client).fs {
                Fs::S3(fs) => fs.remove(path, tree).await,
                Fs::Hdfs(fs) => fs.remove(path, tree).await,
            }
        })
    })
}

unsafe extern "C" fn rename(client: *const Client, from: *const c_char, to: *const c_char, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        let Fs::Hdfs(fs) = &(*client).fs else { return Err(not_here("rename")) };
        wait(&*client, fs.rename(text(from)?, text(to)?))
    })
}

unsafe extern "C" fn upload_begin(
    client: *const Client,
    path: *const c_char,
    id: *mut c_char,
    id_size: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("an upload")) };
        put_text(&wait(&*client, fs.upload_begin(text(path)?))?, id, id_size)
    })
}

unsafe extern "C" fn upload_part(
    client: *const Client,
    path: *const c_char,
    id: *const c_char,
    index: usize,
    data: *const u8,
    size: usize,
    tag: *mut c_char,
    tag_size: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("an upload")) };
        let part = fs.upload_part(text(path)?, text(id)?, index, bytes(data, size));
        put_text(&wait(&*client, part)?, tag, tag_size)
    })
}

unsafe extern "C" fn upload_complete(
    client: *const Client,
    path: *const c_char,
    id: *const c_char,
    tags: *const *const c_char,
    n: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("an upload")) };
        let mut parts = Vec::with_capacity(n);
        for i in 0..n {
            parts.push(text(*tags.add(i))?.to_string());
        }
        wait(&*client, fs.upload_complete(text(path)?, text(id)?, parts))
    })
}

unsafe extern "C" fn upload_abort(client: *const Client, path: *const c_char, id: *const c_char, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("an upload")) };
        wait(&*client, fs.upload_abort(text(path)?, text(id)?))
    })
}

unsafe extern "C" fn uploads(
    client: *const Client,
    prefix: *const c_char,
    on_upload: OnUpload,
    context: *mut c_void,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::S3(fs) = &(*client).fs else { return Err(not_here("an upload")) };
        for (key, id) in wait(&*client, fs.uploads(text(prefix)?))? {
            let given = on_upload(context, key.as_ptr(), key.len(), id.as_ptr(), id.len());
            if given != status::OK {
                return Err(failure(given, "the list of uploads is too long for memory"));
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn create(
    client: *const Client,
    path: *const c_char,
    out: *mut *mut CWriter,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let Fs::Hdfs(fs) = &(*client).fs else { return Err(not_here("create")) };
        let writer = wait(&*client, fs.create(text(path)?))?;
        *out = Box::into_raw(Box::new(CWriter { writer, client }));
        Ok(())
    })
}

unsafe extern "C" fn write(writer: *mut CWriter, data: *const u8, size: usize, err: *mut SabotError) -> i32 {
    guard(err, || unsafe { wait(&*(*writer).client, (*writer).writer.write(bytes(data, size))) })
}

unsafe extern "C" fn flush(writer: *mut CWriter, err: *mut SabotError) -> i32 {
    guard(err, || unsafe { wait(&*(*writer).client, (*writer).writer.flush()) })
}

unsafe extern "C" fn finish(writer: *mut CWriter, err: *mut SabotError) -> i32 {
    guard(err, || unsafe { wait(&*(*writer).client, (*writer).writer.finish()) })
}

unsafe extern "C" fn drop_writer(writer: *mut CWriter) {
    if !writer.is_null() {
        guard(ptr::null_mut(), || {
            /* its file is closed in the background by the runtime */
            let _entered = runtime().enter();
            drop(unsafe { Box::from_raw(writer) });
            Ok(())
        });
    }
}

/// In the order of `struct bridge_remote`.
#[repr(C)]
#[allow(clippy::type_complexity)]
pub struct Table {
    version: u32,
    error_size: usize,
    open: unsafe extern "C" fn(
        *const c_char,
        *const *const c_char,
        *const *const c_char,
        usize,
        u64,
        u32,
        *const AtomicBool,
        *mut *mut Client,
        *mut SabotError,
    ) -> i32,
    close: unsafe extern "C" fn(*mut Client),
    stat: unsafe extern "C" fn(*const Client, *const c_char, *mut CStat, *mut SabotError) -> i32,
    make_dirs: unsafe extern "C" fn(*const Client, *const c_char, *mut SabotError) -> i32,
    list: unsafe extern "C" fn(*const Client, *const c_char, OnEntry, *mut c_void, *mut SabotError) -> i32,
    read: unsafe extern "C" fn(*const Client, *const c_char, u64, *mut u8, usize, *mut SabotError) -> i32,
    put_new: unsafe extern "C" fn(*const Client, *const c_char, *const u8, usize, *mut bool, *mut SabotError) -> i32,
    put: unsafe extern "C" fn(*const Client, *const c_char, *const u8, usize, *mut SabotError) -> i32,
    remove: unsafe extern "C" fn(*const Client, *const c_char, bool, *mut SabotError) -> i32,
    rename: unsafe extern "C" fn(*const Client, *const c_char, *const c_char, *mut SabotError) -> i32,
    upload_begin: unsafe extern "C" fn(*const Client, *const c_char, *mut c_char, usize, *mut SabotError) -> i32,
    upload_part: unsafe extern "C" fn(
        *const Client,
        *const c_char,
        *const c_char,
        usize,
        *const u8,
        usize,
        *mut c_char,
        usize,
        *mut SabotError,
    ) -> i32,
    upload_complete: unsafe extern "C" fn(
        *const Client,
        *const c_char,
        *const c_char,
        *const *const c_char,
        usize,
        *mut SabotError,
    ) -> i32,
    upload_abort: unsafe extern "C" fn(*const Client, *const c_char, *const c_char, *mut SabotError) -> i32,
    uploads: unsafe extern "C" fn(*const Client, *const c_char, OnUpload, *mut c_void, *mut SabotError) -> i32,
    create: unsafe extern "C" fn(*const Client, *const c_char, *mut *mut CWriter, *mut SabotError) -> i32,
    write: unsafe extern "C" fn(*mut CWriter, *const u8, usize, *mut SabotError) -> i32,
    flush: unsafe extern "C" fn(*mut CWriter, *mut SabotError) -> i32,
    finish: unsafe extern "C" fn(*mut CWriter, *mut SabotError) -> i32,
    drop_writer: unsafe extern "C" fn(*mut CWriter),
}

static TABLE: Table = Table {
    version: 3,
    error_size: size_of::<SabotError>(),
    open,
    close,
    stat,
    make_dirs,
    list,
    read,
    put_new,
    put,
    remove,
    rename,
    upload_begin,
    upload_part,
    upload_complete,
    upload_abort,
    uploads,
    create,
    write,
    flush,
    finish,
    drop_writer,
};

#[unsafe(no_mangle)]
pub extern "C" fn sabot_remote() -> *const Table {
    &TABLE
}
