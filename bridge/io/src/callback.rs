//! The caller's file, reached through its function pointers, as the readers and writers of the crates want it.
use std::ffi::c_void;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{Outcome, SabotError, failure, status};

/// Size of a source whose end is not known (a pipe).
pub const SIZE_UNKNOWN: u64 = u64::MAX;
/// What a length found in the bytes of a source of unknown size may reserve before its bytes have arrived.
const STEP_BYTES: usize = 16 << 20;

/// `struct bridge_source`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CSource {
    context: *mut c_void,
    size: u64,
    read_at: Option<unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize, *mut usize, *mut SabotError) -> i32>,
}

/// `struct bridge_sink`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CSink {
    context: *mut c_void,
    write: Option<unsafe extern "C" fn(*mut c_void, *const c_void, usize, *mut SabotError) -> i32>,
}

/// Where callbacks record their failures: the error of the entry that is running.
#[derive(Clone)]
pub struct ErrorSlot(Arc<AtomicPtr<SabotError>>);

impl ErrorSlot {
    fn new(err: *mut SabotError) -> Self {
        ErrorSlot(Arc::new(AtomicPtr::new(err)))
    }
    pub fn set(&self, err: *mut SabotError) {
        self.0.store(err, Ordering::Relaxed);
    }
    fn get(&self) -> *mut SabotError {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
pub struct Source {
    c: CSource,
    pub err: ErrorSlot,
}

/* SAFETY: a handle belongs to one thread at a time (bridge_io.h), and no thread is started here. */
unsafe impl Send for Source {}
unsafe impl Sync for Source {}

impl Source {
    pub fn new(c: &CSource, err: *mut SabotError) -> Outcome<Self> {
        if c.read_at.is_none() {
            return Err(failure(status::ERR_USAGE, "bridge_source.read_at is not set"));
        }
        Ok(Source { c: *c, err: ErrorSlot::new(err) })
    }

    pub fn size(&self) -> u64 {
        self.c.size
    }

    /// Up to `target.len()` bytes; 0 only at the end.
    fn read_some(&self, offset: u64, target: &mut [u8]) -> io::Result<usize> {
        let mut got = 0usize;
        let read_at = self.c.read_at.unwrap();
        /* SAFETY: the caller's function, with the context it gave and a buffer of the length told. */
        let result = unsafe {
            read_at(self.c.context, offset, target.as_mut_ptr().cast(), target.len(), &mut got, self.err.get())
        };
        if result != status::OK || got > target.len() {
            return Err(io::Error::other("read failed"));
        }
        Ok(got)
    }

    /// As many bytes as there are, up to `target.len()`.
    pub fn read_up_to(&self, offset: u64, target: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < target.len() {
            let got = self.read_some(offset + filled as u64, &mut target[filled..])?;
            if got == 0 {
                break;
            }
            filled += got;
        }
        Ok(filled)
    }

    /// Exactly `length` bytes at `offset`; a length that the source can't have is an error before anything is reserved.
    pub fn read_buffer(&self, offset: u64, length: usize, what: &str) -> Outcome<Buffer> {
        Ok(self.read_after(MutableBuffer::new(0), offset, length, what)?.into())
    }

    /// Appends `length` bytes at `offset` to `buffer`.
    pub fn read_after(
        &self,
        mut buffer: MutableBuffer,
        offset: u64,
        length: usize,
        what: &str,
    ) -> Outcome<MutableBuffer> {
        let cut = || failure(status::ERR_CORRUPT, format!("truncated: {what} needs {length} bytes at {offset}"));
        if self.c.size != SIZE_UNKNOWN && offset.checked_add(length as u64).is_none_or(|end| end > self.c.size) {
            return Err(cut());
        }
        let head = buffer.len();
        let step = if self.c.size == SIZE_UNKNOWN { STEP_BYTES } else { length };
        let mut filled = 0;
        while filled < length {
            let want = step.min(length - filled);
            buffer.resize(head + filled + want, 0);
            let got = self
                .read_up_to(offset + filled as u64, &mut buffer.as_slice_mut()[head + filled..])
                .map_err(|e| failure(status::ERR_IO, e.to_string()))?;
            if got < want {
                return Err(cut());
            }
            filled += want;
        }
        Ok(buffer)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.c.size
    }
}

/// Reads a source from an offset on.
pub struct SourceRead {
    source: Source,
    offset: u64,
}

impl Read for SourceRead {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read_some(self.offset, target)?;
        self.offset += got as u64;
        Ok(got)
    }
}

impl ChunkReader for Source {
    type T = BufReader<SourceRead>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::new(SourceRead { source: self.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.c.size) {
            return Err(ParquetError::EOF(format!("truncated: {length} bytes are needed at {start}")));
        }
        let mut bytes = vec![0u8; length];
        if self.read_up_to(start, &mut bytes)? < length {
            return Err(ParquetError::EOF(format!("truncated: {length} bytes are needed at {start}")));
        }
        Ok(bytes.into())
    }
}

pub struct Sink {
    c: CSink,
    pub err: ErrorSlot,
    pub written: Arc<AtomicU64>,
    pub abandoned: Arc<AtomicBool>,
}

/* SAFETY: as for Source. */
unsafe impl Send for Sink {}

impl Sink {
    pub fn new(c: &CSink, err: *mut SabotError) -> Outcome<Self> {
        if c.write.is_none() {
            return Err(failure(status::ERR_USAGE, "bridge_sink.write is not set"));
        }
        Ok(Sink { c: *c, err: ErrorSlot::new(err), written: Default::default(), abandoned: Default::default() })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Ok(bytes.len());
        }
        let write = self.c.write.unwrap();
        /* SAFETY: the caller's function, with the context it gave. */
        let result = unsafe { write(self.c.context, bytes.as_ptr().cast(), bytes.len(), self.err.get()) };
        if result != status::OK {
            return Err(io::Error::other("write failed"));
        }
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
