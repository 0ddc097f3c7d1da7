//! Failures of the crates that read and write files, on their way to the C caller.
use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use sabot_ffi::Library;
pub use sabot_ffi::{SabotError, status};

/// A type of our own, so that `?` takes what the crates fail with.
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

impl From<Failure> for sabot_ffi::Failure {
    fn from(failed: Failure) -> Self {
        sabot_ffi::failure(failed.status, failed.message)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        let status = match &error {
            ArrowError::NotYetImplemented(_) => status::ERR_UNSUPPORTED,
            ArrowError::MemoryError(_) => status::ERR_MEMORY,
            _ => status::ERR_CORRUPT,
        };
        failure(status, error.to_string())
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        let status = match &error {
            ParquetError::NYI(_) => status::ERR_UNSUPPORTED,
            _ => status::ERR_CORRUPT,
        };
        failure(status, error.to_string())
    }
}

/// What the caller's function has failed with is recorded already, and wins.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        failure(status::ERR_IO, error.to_string())
    }
}

/// The crates that read files panic where their checks end, so this is what a damaged file looks like.
const LIBRARY: Library =
    Library { name: c"bridge/io", panic_status: status::ERR_CORRUPT, panic_means: "the bytes can't be decoded" };

pub fn guard(err: *mut SabotError, body: impl FnOnce(*mut SabotError) -> Outcome<()>) -> i32 {
    LIBRARY.guard(err, body)
}
