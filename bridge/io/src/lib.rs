//! The C ABI of this crate; `bridge_io.h` is its contract. Every entry is a thin body inside `guard`.
mod callback;
mod convert;
mod error;
mod read;
mod sparing;
mod write;

use std::slice;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::{Array, StructArray};
use arrow_schema::{DataType, Schema};

use callback::{CSink, CSource, Sink, Source};
use error::{SabotError, failure, guard, status};
use read::{CGroup, Reader};
use write::{CWriteOptions, Writer};

#[unsafe(no_mangle)]
pub extern "C" fn bridge_error_size() -> usize {
    size_of::<SabotError>()
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_open(
    source: *const CSource,
    views: bool,
    out: *mut *mut Reader,
    err: *mut SabotError,
) -> i32 {
    guard(err, |err| {
        let reader = Reader::open(Source::new(unsafe { &*source }, err)?, views)?;
        unsafe { *out = Box::into_raw(Box::new(reader)) };
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_close(reader: *mut Reader) {
    if !reader.is_null() {
        guard(std::ptr::null_mut(), |err| {
            let reader = unsafe { Box::from_raw(reader) };
            reader.source.err.set(err);
            drop(reader);
            Ok(())
        });
    }
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_schema(
    reader: *const Reader,
    out: *mut FFI_ArrowSchema,
    err: *mut SabotError,
) -> i32 {
    guard(err, |_| {
        let schema = FFI_ArrowSchema::try_from(unsafe { &*reader }.schema.as_ref())?;
        unsafe { out.write(schema) };
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_groups(reader: *const Reader) -> u64 {
    unsafe { &*reader }.groups()
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_group(
    reader: *const Reader,
    index: u64,
    out: *mut CGroup,
    err: *mut SabotError,
) -> i32 {
    guard(err, |_| {
        let group = unsafe { &*reader }.group(index)?;
        unsafe { out.write(group) };
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_prune(
    reader: *mut Reader,
    wanted: *const bool,
    wanted_count: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, |_| unsafe { &mut *reader }.prune(unsafe { slice::from_raw_parts(wanted, wanted_count) }))
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_select(
    reader: *mut Reader,
    columns: *const u32,
    columns_count: usize,
    batch_rows: usize,
    err: *mut SabotError,
) -> i32 {
    guard(err, |err| {
        let reader = unsafe { &mut *reader };
        reader.source.err.set(err);
        let columns = (!columns.is_null()).then(|| {
            let chosen = unsafe { slice::from_raw_parts(columns, columns_count) };
            chosen.iter().map(|index| *index as usize).collect()
        });
        reader.select(columns, batch_rows)
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_bound(
    reader: *mut Reader,
    column: u32,
    kind: i32,
    per_second: i64,
    least: i64,
    most: i64,
    err: *mut SabotError,
) -> i32 {
    guard(err, |_| {
        unsafe { &mut *reader }.bound(column as usize, kind, per_second, least, most);
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_seek(
    reader: *mut Reader,
    group: u64,
    group_end: u64,
    row: u64,
    err: *mut SabotError,
) -> i32 {
    guard(err, |err| {
        let reader = unsafe { &mut *reader };
        reader.source.err.set(err);
        reader.seek(group, group_end, row)
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_position(reader: *const Reader, group: *mut u64, row: *mut u64) {
    let position = unsafe { &*reader }.position();
    unsafe {
        *group = position.0;
        *row = position.1;
    }
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_reader_next(
    reader: *mut Reader,
    out: *mut FFI_ArrowArray,
    err: *mut SabotError,
) -> i32 {
    unsafe { out.write(FFI_ArrowArray::empty()) };
    guard(err, |err| {
        let reader = unsafe { &mut *reader };
        reader.source.err.set(err);
        if let Some(batch) = reader.next()? {
            let rows = StructArray::from(batch);
            unsafe { out.write(FFI_ArrowArray::new(&rows.to_data())) };
        }
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_open(
    sink: *const CSink,
    schema: *const FFI_ArrowSchema,
    options: *const CWriteOptions,
    out: *mut *mut Writer,
    err: *mut SabotError,
) -> i32 {
    guard(err, |err| {
        let sink = Sink::new(unsafe { &*sink }, err)?;
        let DataType::Struct(fields) = DataType::try_from(unsafe { &*schema })? else {
            return Err(failure(status::ERR_USAGE, "the schema of a file is a struct"));
        };
        let writer = Writer::open(sink, Schema::new(fields).into(), unsafe { &*options })?;
        unsafe { *out = Box::into_raw(Box::new(writer)) };
        Ok(())
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_write(
    writer: *mut Writer,
    array: *mut FFI_ArrowArray,
    err: *mut SabotError,
) -> i32 {
    /* Ours on every path from here. */
    let array = unsafe { FFI_ArrowArray::from_raw(array) };
    guard(err, |err| {
        let writer = unsafe { &mut *writer };
        writer.err.set(err);
        let data = unsafe { from_ffi_and_data_type(array, writer.row_type()) }?;
        writer.write(data)
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_flush(writer: *mut Writer, err: *mut SabotError) -> i32 {
    guard(err, |err| {
        let writer = unsafe { &mut *writer };
        writer.err.set(err);
        writer.flush()
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_bytes(writer: *const Writer, written: *mut u64, held: *mut u64) {
    let (to_sink, in_memory) = unsafe { &*writer }.bytes();
    unsafe {
        *written = to_sink;
        *held = in_memory;
    }
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_finish(writer: *mut Writer, err: *mut SabotError) -> i32 {
    guard(err, |err| {
        let writer = unsafe { &mut *writer };
        writer.err.set(err);
        writer.finish()
    })
}

/// # Safety
/// As stated in bridge_io.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bridge_writer_close(writer: *mut Writer) {
    if !writer.is_null() {
        guard(std::ptr::null_mut(), |err| {
            let writer = unsafe { Box::from_raw(writer) };
            writer.err.set(err);
            drop(writer);
            Ok(())
        });
    }
}
