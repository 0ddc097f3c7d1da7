//! How a failure becomes a status and a message in the caller's `struct sabot_error`.
use std::ffi::c_char;
use std::panic::{self, AssertUnwindSafe};

/// `enum sabot_status`, from include/sabot/status.def.
#[allow(dead_code)]
pub mod status {
    include!(concat!(env!("OUT_DIR"), "/status.rs"));
}

const MESSAGE_MAX: usize = 1024;

/// `struct sabot_error` of include/sabot/error.h; the caller compares the sizes.
#[repr(C)]
pub struct SabotError {
    status: i32,
    file: *const c_char,
    line: i32,
    sql_line: u32,
    sql_column: u32,
    sql_length: u32,
    message: [u8; MESSAGE_MAX],
}

#[derive(Debug)]
pub struct Failure {
    pub status: i32,
    pub message: String,
}

pub type Outcome<T> = Result<T, Failure>;

pub fn failure(status: i32, message: impl Into<String>) -> Failure {
    Failure { status, message: message.into() }
}

/// An error with all its causes, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
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

/// Runs the body of an entry: no panic leaves it, and its failure is recorded in `err`, which may be NULL.
pub fn guard(err: *mut SabotError, body: impl FnOnce() -> Outcome<()>) -> i32 {
    let failed = match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return status::OK,
        Ok(Err(failed)) => failed,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
            std::mem::forget(payload);
            failure(status::ERR_INTERNAL, format!("a defect in the library for remote files: {text}"))
        }
    };
    /* SAFETY: NULL or the caller's valid struct sabot_error. */
    if let Some(target) = unsafe { err.as_mut() }
        && target.status == status::OK
    {
        target.status = failed.status;
        target.file = c"bridge/remote".as_ptr();
        let mut length = failed.message.len().min(MESSAGE_MAX - 1);
        while !failed.message.is_char_boundary(length) {
            length -= 1;
        }
        target.message[..length].copy_from_slice(&failed.message.as_bytes()[..length]);
        target.message[length] = 0;
    }
    failed.status
}
