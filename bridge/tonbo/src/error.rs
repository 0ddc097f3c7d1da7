//! What a failure of this library says.
use sabot_ffi::Library;
pub use sabot_ffi::{Failure, Outcome, SabotError, chain, failure, status};

const LIBRARY: Library = Library {
    name: c"bridge/tonbo",
    panic_status: status::ERR_INTERNAL,
    panic_means: "a defect in Tonbo or in the library for it",
};

pub fn guard(err: *mut SabotError, body: impl FnOnce() -> Outcome<()>) -> i32 {
    LIBRARY.guard(err, |_| body())
}
