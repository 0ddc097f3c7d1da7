//! The C ABI of this crate: one table of functions, `sabot_tonbo`; `bridge_tonbo.h` is its contract.
mod error;
mod executor;
mod files;
mod store;

use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;
use std::{ptr, slice};

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type, to_ffi};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Fields, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave;

use error::{Failure, Outcome, SabotError, failure, guard, status};
use store::{Options, Stats, Store, keys_of};

type OnRows = unsafe extern "C" fn(*mut c_void, *mut FFI_ArrowArray, *mut bool) -> i32;
type OnKeep = unsafe extern "C" fn(*mut c_void, *mut FFI_ArrowArray, *mut u8) -> i32;

#[repr(C)]
pub struct COptions {
    path: *const c_char,
    schema: *const FFI_ArrowSchema,
    from: *const c_char,
    seal_batches: u32,
    compact_files: u32,
}

pub struct CStore {
    store: Store,
    schema: SchemaRef,
}

fn of_arrow(error: ArrowError) -> Failure {
    failure(status::ERR_INTERNAL, format!("rows for Tonbo: {error}"))
}

unsafe fn path(text: *const c_char) -> Outcome<PathBuf> {
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map(PathBuf::from).map_err(|_| failure(status::ERR_USAGE, "Tonbo takes paths in UTF-8 only"))
}

/// Takes the rows over, on every path.
unsafe fn import(rows: *mut FFI_ArrowArray, fields: &Fields) -> Outcome<RecordBatch> {
    let array = unsafe { FFI_ArrowArray::from_raw(rows) };
    let data = unsafe { from_ffi_and_data_type(array, DataType::Struct(fields.clone())) }.map_err(of_arrow)?;
    let columns = StructArray::from(data).columns().to_vec();
    RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), columns).map_err(of_arrow)
}

fn export(rows: StructArray) -> Outcome<FFI_ArrowArray> {
    to_ffi(&rows.to_data()).map(|(array, _)| array).map_err(of_arrow)
}

/// The failure of a callback, which it has told its own caller of.
fn stopped(status: i32) -> Failure {
    failure(status, "the caller has ended it")
}

unsafe extern "C" fn open(options: *const COptions, out: *mut *mut CStore, err: *mut SabotError) -> i32 {
    guard(err, || unsafe {
        let options = &*options;
        let schema = Arc::new(Schema::try_from(&*options.schema).map_err(of_arrow)?);
        let store = Store::open(Options {
            path: path(options.path)?,
            schema: Arc::clone(&schema),
            from: if options.from.is_null() { None } else { Some(path(options.from)?) },
            seal_batches: options.seal_batches.max(1),
            compact_files: options.compact_files.max(2),
        })?;
        *out = Box::into_raw(Box::new(CStore { store, schema }));
        Ok(())
    })
}

unsafe extern "C" fn close(store: *mut CStore) {
    if !store.is_null() {
        guard(ptr::null_mut(), || {
            drop(unsafe { Box::from_raw(store) });
            Ok(())
        });
    }
}

unsafe extern "C" fn put(
    store: *mut CStore,
    rows: *mut FFI_ArrowArray,
    deletes: *const u8,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let store = &mut *store;
        let rows = import(rows, store.schema.fields())?;
        let deletes = (!deletes.is_null()).then(|| slice::from_raw_parts(deletes, rows.num_rows()));
        store.store.put(rows, deletes.map(|deletes| deletes.iter().map(|deleted| *deleted != 0).collect()))
    })
}

/// Rows at their places, null where there is none.
fn pick(schema: &Schema, batches: &[RecordBatch], places: &[Option<(usize, usize)>]) -> Outcome<StructArray> {
    /* source 0 is the row of nulls */
    let indices: Vec<(usize, usize)> =
        places.iter().map(|place| place.map_or((0, 0), |(batch, row)| (batch + 1, row))).collect();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (c, field) in schema.fields().iter().enumerate() {
        let none = new_null_array(field.data_type(), 1);
        let mut sources: Vec<&dyn Array> = vec![none.as_ref()];
        sources.extend(batches.iter().map(|batch| batch.column(c).as_ref()));
        columns.push(interleave(&sources, &indices).map_err(of_arrow)?);
    }
    let fields: Fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let there = places.iter().map(|place| place.is_some()).collect();
    StructArray::try_new(fields, columns, Some(there)).map_err(of_arrow)
}

unsafe extern "C" fn get(
    store: *mut CStore,
    keys: *mut FFI_ArrowArray,
    out: *mut FFI_ArrowArray,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let store = &*store;
        let fields = Fields::from(vec![Arc::clone(&store.schema.fields()[0])]);
        let keys = import(keys, &fields)?;
        let (batches, places) = store.store.get(keys_of(&keys)?)?;
        out.write(export(pick(&store.schema, &batches, &places)?)?);
        Ok(())
    })
}

unsafe extern "C" fn scan(
    store: *mut CStore,
    from: *const u8,
    from_size: usize,
    to: *const u8,
    to_size: usize,
    on_rows: OnRows,
    context: *mut c_void,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        let from = if from_size == 0 { &[] } else { slice::from_raw_parts(from, from_size) };
        let to = (!to.is_null()).then(|| slice::from_raw_parts(to, to_size));
        (*store).store.scan(from, to, |rows| {
            let mut rows = std::mem::ManuallyDrop::new(export(StructArray::from(rows))?);
            let mut more = true;
            match on_rows(context, &mut *rows, &mut more) {
                status::OK => Ok(more),
                failed => Err(stopped(failed)),
            }
        })
    })
}

unsafe extern "C" fn compact(
    store: *mut CStore,
    keep: Option<OnKeep>,
    context: *mut c_void,
    err: *mut SabotError,
) -> i32 {
    guard(err, || unsafe {
        (*store).store.compact(|rows| {
            let Some(keep) = keep else { return Ok(rows) };
            let mut kept = vec![1u8; rows.num_rows()];
            let mut shown = std::mem::ManuallyDrop::new(export(StructArray::from(rows.clone()))?);
            let told = keep(context, &mut *shown, kept.as_mut_ptr());
            if told != status::OK {
                return Err(stopped(told));
            }
            let kept: BooleanArray = kept.iter().map(|kept| Some(*kept != 0)).collect();
            filter_record_batch(&rows, &kept).map_err(of_arrow)
        })
    })
}

unsafe extern "C" fn compact_due(store: *const CStore) -> bool {
    unsafe { &*store }.store.compact_due()
}

unsafe extern "C" fn checkpoint(store: *mut CStore, to: *const c_char, err: *mut SabotError) -> i32 {
    guard(err, || unsafe { (*store).store.checkpoint(&path(to)?) })
}

unsafe extern "C" fn stats(store: *const CStore, out: *mut Stats) {
    unsafe { out.write((*store).store.stats()) };
}

/// `struct bridge_tonbo`
#[repr(C)]
pub struct Bridge {
    version: u32,
    error_size: usize,
    open: unsafe extern "C" fn(*const COptions, *mut *mut CStore, *mut SabotError) -> i32,
    close: unsafe extern "C" fn(*mut CStore),
    put: unsafe extern "C" fn(*mut CStore, *mut FFI_ArrowArray, *const u8, *mut SabotError) -> i32,
    get: unsafe extern "C" fn(*mut CStore, *mut FFI_ArrowArray, *mut FFI_ArrowArray, *mut SabotError) -> i32,
    scan: unsafe extern "C" fn(
        *mut CStore,
        *const u8,
        usize,
        *const u8,
        usize,
        OnRows,
        *mut c_void,
        *mut SabotError,
    ) -> i32,
    compact: unsafe extern "C" fn(*mut CStore, Option<OnKeep>, *mut c_void, *mut SabotError) -> i32,
    compact_due: unsafe extern "C" fn(*const CStore) -> bool,
    checkpoint: unsafe extern "C" fn(*mut CStore, *const c_char, *mut SabotError) -> i32,
    stats: unsafe extern "C" fn(*const CStore, *mut Stats),
}

static BRIDGE: Bridge = Bridge {
    version: 1,
    error_size: size_of::<SabotError>(),
    open,
    close,
    put,
    get,
    scan,
    compact,
    compact_due,
    checkpoint,
    stats,
};

#[unsafe(no_mangle)]
pub extern "C" fn sabot_tonbo() -> *const Bridge {
    &BRIDGE
}
