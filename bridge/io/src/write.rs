//! Writing: Parquet and both kinds of Arrow IPC through the caller's write function.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_data::ArrayData;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::callback::{ErrorSlot, Sink};
use crate::convert::{Layout, convert_batch, convert_schema};
use crate::error::{Failure, Outcome, failure, status};
use crate::sparing::SparingWriter;

/// `struct bridge_write_options`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CWriteOptions {
    pub format: i32,
    pub compression: i32,
    pub level: i32,
    pub views: bool,
    pub group_rows: u64,
}

/* enum bridge_format */
const PARQUET: i32 = 1;
const IPC_FILE: i32 = 2;
const IPC_STREAM: i32 = 3;

/* enum bridge_compression */
const NONE: i32 = 0;
const SNAPPY: i32 = 1;
const ZSTD: i32 = 2;
const LZ4: i32 = 3;
const GZIP: i32 = 4;
const LZ4_SPARING: i32 = 5;

enum Body {
    Parquet(Box<ArrowWriter<Sink>>),
    IpcFile(Box<FileWriter<Sink>>),
    IpcSparing(Box<SparingWriter<Sink>>),
    IpcStream(Box<StreamWriter<Sink>>),
}

pub struct Writer {
    body: Body,
    pub err: ErrorSlot,
    written: Arc<AtomicU64>,
    abandoned: Arc<AtomicBool>,
    /// Type of the arrays that come in.
    input: SchemaRef,
    /// Schema of the file where strings are stored plain, views where they are not.
    stored: SchemaRef,
    finished: bool,
    failed: bool,
}

fn write_failure(error: impl Into<Failure>) -> Failure {
    let mut failed: Failure = error.into();
    if failed.status == status::ERR_CORRUPT {
        failed.status = status::ERR_DATA;
    }
    failed
}

fn parquet_compression(options: &CWriteOptions) -> Outcome<Compression> {
    let level = options.level;
    let bad = |e: parquet::errors::ParquetError| failure(status::ERR_USAGE, e.to_string());
    Ok(match options.compression {
        NONE => Compression::UNCOMPRESSED,
        SNAPPY => Compression::SNAPPY,
        LZ4 => Compression::LZ4_RAW,
        ZSTD if level == 0 => Compression::ZSTD(ZstdLevel::default()),
        ZSTD => Compression::ZSTD(ZstdLevel::try_new(level).map_err(bad)?),
        GZIP if level == 0 => Compression::GZIP(GzipLevel::default()),
        GZIP => Compression::GZIP(GzipLevel::try_new(level as u32).map_err(bad)?),
        other => return Err(failure(status::ERR_USAGE, format!("no compression with number {other}"))),
    })
}

fn ipc_options(options: &CWriteOptions) -> Outcome<IpcWriteOptions> {
    let kind = match options.compression {
        NONE => None,
        ZSTD => Some(CompressionType::ZSTD),
        LZ4 => Some(CompressionType::LZ4_FRAME),
        _ => return Err(failure(status::ERR_USAGE, "Arrow IPC knows no compression but zstd and lz4")),
    };
    let mut made = IpcWriteOptions::default().try_with_compression(kind)?;
    if options.compression == ZSTD && options.level != 0 {
        made = made
            .try_with_compression_level(Some(options.level))
            .map_err(|e| failure(status::ERR_USAGE, e.to_string()))?;
    }
    Ok(made)
}

impl Writer {
    pub fn open(sink: Sink, input: SchemaRef, options: &CWriteOptions) -> Outcome<Writer> {
        let stored = if options.views { input.clone() } else { convert_schema(&input, Layout::Plain) };
        let err = sink.err.clone();
        let written = sink.written.clone();
        let abandoned = sink.abandoned.clone();
        let body = match options.format {
            PARQUET => {
                let mut properties = WriterProperties::builder()
                    .set_compression(parquet_compression(options)?)
                    .set_created_by("sabot".to_string());
                if options.group_rows > 0 {
                    properties = properties.set_max_row_group_row_count(Some(options.group_rows as usize));
                }
                let writer =
                    ArrowWriter::try_new(sink, stored.clone(), Some(properties.build())).map_err(write_failure)?;
                Body::Parquet(Box::new(writer))
            }
            IPC_FILE if options.compression == LZ4_SPARING => {
                Body::IpcSparing(Box::new(SparingWriter::open(sink, stored.clone()).map_err(write_failure)?))
            }
            IPC_FILE => {
                let made = FileWriter::try_new_with_options(sink, &stored, ipc_options(options)?);
                Body::IpcFile(Box::new(made.map_err(write_failure)?))
            }
            IPC_STREAM => {
                let made = StreamWriter::try_new_with_options(sink, &stored, ipc_options(options)?);
                Body::IpcStream(Box::new(made.map_err(write_failure)?))
            }
            other => return Err(failure(status::ERR_USAGE, format!("no format with number {other}"))),
        };
        Ok(Writer { body, err, written, abandoned, input, stored, finished: false, failed: false })
    }

    /// The type of the struct arrays that `write` takes.
    pub fn row_type(&self) -> DataType {
        DataType::Struct(self.input.fields().clone())
    }

    fn check_usable(&self) -> Outcome<()> {
        if self.failed || self.finished {
            let why = if self.failed { "has failed" } else { "is finished" };
            return Err(failure(status::ERR_USAGE, format!("this writer {why} and takes nothing more")));
        }
        Ok(())
    }

    pub fn write(&mut self, data: ArrayData) -> Outcome<()> {
        self.check_usable()?;
        self.failed = true;
        let rows = StructArray::from(data);
        if rows.nulls().is_some_and(|nulls| nulls.null_count() > 0) {
            return Err(failure(status::ERR_USAGE, "a batch is a struct array without NULL rows"));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = rows.columns().to_vec();
        let mut batch =
            RecordBatch::try_new_with_options(self.input.clone(), columns, &options).map_err(write_failure)?;
        /* Parquet takes views as they are and stores what its schema says; IPC stores what it gets. */
        if self.stored != self.input && !matches!(self.body, Body::Parquet(_)) {
            batch = convert_batch(&batch, &self.stored, Layout::Plain).map_err(write_failure)?;
        }
        match &mut self.body {
            Body::Parquet(writer) => writer.write(&batch).map_err(write_failure)?,
            Body::IpcFile(writer) => writer.write(&batch).map_err(write_failure)?,
            Body::IpcSparing(writer) => writer.write(&batch).map_err(write_failure)?,
            Body::IpcStream(writer) => writer.write(&batch).map_err(write_failure)?,
        }
        self.failed = false;
        Ok(())
    }

    /// Bytes handed to the sink, and about how many more are held back in memory.
    pub fn bytes(&self) -> (u64, u64) {
        let held = match &self.body {
            Body::Parquet(writer) => writer.in_progress_size() as u64,
            _ => 0,
        };
        (self.written.load(Ordering::Relaxed), held)
    }

    /// Ends a row group; the rows so far go to the sink.
    pub fn flush(&mut self) -> Outcome<()> {
        self.check_usable()?;
        if let Body::Parquet(writer) = &mut self.body {
            self.failed = true;
            writer.flush().map_err(write_failure)?;
            self.failed = false;
        }
        Ok(())
    }

    pub fn finish(&mut self) -> Outcome<()> {
        self.check_usable()?;
        self.failed = true;
        match &mut self.body {
            Body::Parquet(writer) => writer.finish().map(|_| ()).map_err(write_failure)?,
            Body::IpcFile(writer) => writer.finish().map_err(write_failure)?,
            Body::IpcSparing(writer) => writer.finish().map_err(write_failure)?,
            Body::IpcStream(writer) => writer.finish().map_err(write_failure)?,
        }
        self.failed = false;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Writer {
    /// What an unfinished writer still buffers must not reach a sink that its owner may have closed.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}
