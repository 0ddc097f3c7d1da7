//! How a failure of Rust code becomes a status and a message in the caller's `struct sabot_error`: what the libraries
//! of this folder have in common.
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::ffi::{CStr, c_char};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

/// `enum sabot_status`, from include/sabot/status.def.
pub mod status {
    include!(concat!(env!("OUT_DIR"), "/status.rs"));
}

pub const MESSAGE_MAX: usize = 1024;

/// `struct sabot_error` of include/sabot/error.h; every library tells its size, so that the two can be compared.
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

/// An error with all its causes, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
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

/// What a library says of itself where it fails.
pub struct Library {
    pub name: &'static CStr,
    /// Of a panic: its status, and what it means here.
    pub panic_status: i32,
    pub panic_means: &'static str,
}

impl Library {
    fn panicked(&self, payload: Box<dyn Any + Send>) -> Failure {
        let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let place = PANIC_PLACE.with_borrow(|place| place.rsplit('/').next().unwrap_or("").to_string());
        /* The payload of panic!() is text; another kind may panic when it is dropped. */
        if text.is_none() {
            std::mem::forget(payload);
        }
        let text = text.unwrap_or_else(|| "no message".to_string());
        failure(self.panic_status, format!("{} ({text}, {place})", self.panic_means))
    }

    /// Runs the body of one entry of the C ABI: no panic leaves it, and its failure is recorded in `err` unless a
    /// callback of the caller has recorded its own there already. `body` gets an error that is never NULL.
    pub fn guard<E: Into<Failure>>(
        &self,
        err: *mut SabotError,
        body: impl FnOnce(*mut SabotError) -> Result<(), E>,
    ) -> i32 {
        quiet_panics_in_entries();
        let mut own = SabotError::empty();
        let err: *mut SabotError = if err.is_null() { &mut own } else { err };
        GUARDED.set(true);
        let result = panic::catch_unwind(AssertUnwindSafe(|| body(err)));
        GUARDED.set(false);
        let failed = match result {
            Ok(Ok(())) => return status::OK,
            Ok(Err(failed)) => failed.into(),
            Err(payload) => self.panicked(payload),
        };
        /* SAFETY: err is the caller's valid struct sabot_error, or our own. */
        let target = unsafe { &mut *err };
        if target.status != status::OK {
            return target.status;
        }
        target.status = failed.status;
        target.file = self.name.as_ptr();
        let mut length = failed.message.len().min(MESSAGE_MAX - 1);
        while !failed.message.is_char_boundary(length) {
            length -= 1;
        }
        target.message[..length].copy_from_slice(&failed.message.as_bytes()[..length]);
        target.message[length] = 0;
        failed.status
    }
}
