//! How a failure of Rust code becomes a status and a message in the caller's `struct sabot_error`.
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

/// `enum sabot_status`, from include/sabot/status.def.
#[allow(dead_code)]
pub mod status {
    include!(concat!(env!("OUT_DIR"), "/status.rs"));
}

pub const MESSAGE_MAX: usize = 1024;

/// `struct sabot_error` of include/sabot/error.h; `bridge_error_size` lets a test compare the two.
#[repr(C)]
pub struct SabotError {
    pub status: i32,
    pub file: *const c_char,
    pub line: i32,
    pub sql_line: u32,
    pub sql_column: u32,
    pub sql_length: u32,
    pub message: [u8; MESSAGE_MAX],
}

impl SabotError {
    fn empty() -> Self {
        SabotError {
            status: status::OK,
            file: ptr::null(),
            line: 0,
            sql_line: 0,
            sql_column: 0,
            sql_length: 0,
            message: [0; MESSAGE_MAX],
        }
    }
}

/// A failure on its way to the C caller.
#[derive(Debug)]
pub struct Failure {
    pub status: i32,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

/// `return Err(failure(status::ERR_CORRUPT, format!(...)))`
pub fn failure(status: i32, message: impl Into<String>) -> Failure {
    Failure { status, message: message.into() }
}

impl From<arrow_schema::ArrowError> for Failure {
    fn from(error: arrow_schema::ArrowError) -> Self {
        use arrow_schema::ArrowError as E;
        let status = match &error {
            E::NotYetImplemented(_) => status::ERR_UNSUPPORTED,
            E::MemoryError(_) => status::ERR_MEMORY,
            _ => status::ERR_CORRUPT,
        };
        failure(status, error.to_string())
    }
}

impl From<parquet::errors::ParquetError> for Failure {
    fn from(error: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError as E;
        let status = match &error {
            E::NYI(_) => status::ERR_UNSUPPORTED,
            _ => status::ERR_CORRUPT,
        };
        failure(status, error.to_string())
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Inside an entry a panic is a status, not lines on standard error.
fn quiet_panics_in_entries() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
                PANIC_PLACE.with_borrow_mut(|kept| *kept = place);
            } else {
                previous(info);
            }
        }));
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    let place = PANIC_PLACE.with_borrow(|place| place.clone());
    /* The crates that read files panic where their checks end, so this is what a damaged file looks like. */
    format!("the bytes can't be decoded ({text}, {})", place.rsplit('/').next().unwrap_or(""))
}

/// Runs the body of one entry of the C ABI: no panic leaves it, and its failure is recorded in `err` unless a callback
/// of the caller has recorded its own there already. `body` gets an error that is never NULL.
pub fn guard(err: *mut SabotError, body: impl FnOnce(*mut SabotError) -> Outcome<()>) -> i32 {
    quiet_panics_in_entries();
    let mut own = SabotError::empty();
    let err: *mut SabotError = if err.is_null() { &mut own } else { err };
    GUARDED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(err)));
    GUARDED.set(false);
    let failed = match result {
        Ok(Ok(())) => return status::OK,
        Ok(Err(failed)) => failed,
        Err(payload) => {
            let failed = failure(status::ERR_CORRUPT, panic_text(payload.as_ref()));
            /* The payload of panic!() is text; another kind may panic when it is dropped. */
            if !payload.is::<String>() && !payload.is::<&str>() {
                std::mem::forget(payload);
            }
            failed
        }
    };
    /* SAFETY: err is the caller's valid struct sabot_error, or our own. */
    let target = unsafe { &mut *err };
    if target.status != status::OK {
        return target.status;
    }
    target.status = failed.status;
    target.file = c"bridge/io".as_ptr();
    let mut length = failed.message.len().min(MESSAGE_MAX - 1);
    while !failed.message.is_char_boundary(length) {
        length -= 1;
    }
    target.message[..length].copy_from_slice(&failed.message.as_bytes()[..length]);
    target.message[length] = 0;
    failed.status
}
