//! S3: objects by key in one bucket. Retries, time-outs and signatures are object_store's.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
};

use crate::error::{Failure, Outcome, chain, failure, status};
use crate::{Settings, Stat};

/// Ranges that one read is divided into, so that a large file comes over several connections.
const RANGE: usize = 2 << 20;
const AT_ONCE: usize = 4;

pub struct S3 {
    store: AmazonS3,
    first: AmazonS3,
    reached: AtomicBool,
    client: HttpClient,
    bucket_url: String,
    region: String,
    endpoint: String,
}

fn key_of(path: &str) -> Outcome<Path> {
    Path::parse(path.trim_matches('/')).map_err(|e| failure(status::ERR_USAGE, format!("not a key of S3: {e}")))
}

impl S3 {
    pub fn open(url: &str, settings: &Settings) -> Outcome<S3> {
        let bucket = url.split("://").nth(1).unwrap_or("").split('/').next().unwrap_or("");
        if bucket.is_empty() {
            return Err(failure(status::ERR_USAGE, format!("{url} names no bucket: s3://bucket/path")));
        }
        let region = settings.get("s3.region", &["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let region = region.unwrap_or_else(|| "us-east-1".to_string());
        let endpoint = settings.get("s3.endpoint", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = endpoint.trim_end_matches('/').to_string();
        let path_style = settings.get("s3.path-style", &[]).is_none_or(|value| value.eq_ignore_ascii_case("true"));
        let bucket_url = match endpoint.split_once("://") {
            Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
            Some(_) => format!("{endpoint}/{bucket}"),
            None => {
                let why = format!("'s3.endpoint' is '{endpoint}', which is no URL: http://host:port or https://host");
                return Err(failure(status::ERR_USAGE, why));
            }
        };
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(settings.timeout)
            .with_connect_timeout(settings.timeout.min(Duration::from_secs(5)));
        let retry = |max_retries| RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.,
            },
            max_retries,
            retry_timeout: settings.patience(),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&region)
            .with_endpoint(if path_style { &endpoint } else { &bucket_url })
            .with_virtual_hosted_style_request(!path_style)
            .with_client_options(options.clone());
        let key = settings.get("s3.access-key", &["AWS_ACCESS_KEY_ID"]);
        let secret = settings.get("s3.secret-key", &["AWS_SECRET_ACCESS_KEY"]);
        match (key, secret) {
            (Some(key), Some(secret)) => {
                builder = builder.with_access_key_id(key).with_secret_access_key(secret);
                if let Some(token) = settings.get("s3.session-token", &["AWS_SESSION_TOKEN"]) {
                    builder = builder.with_token(token);
                }
            }
            (None, None) => {}
            _ => {
                let why = "of 's3.access-key' and 's3.secret-key' only one is set: set both or neither";
                return Err(failure(status::ERR_USAGE, why));
            }
        }
        let made = |e: Error| failure(status::ERR_USAGE, chain(&e));
        let first = builder.clone().with_retry(retry(settings.first_retries())).build().map_err(made)?;
        let store = builder.with_retry(retry(settings.retries)).build().map_err(made)?;
        let client = ReqwestConnector::default().connect(&options).map_err(made)?;
        Ok(S3 { store, first, reached: AtomicBool::new(false), client, bucket_url, region, endpoint })
    }

    /// Much is forgiven a server that has answered before.
    fn store(&self) -> &AmazonS3 {
        if self.reached.load(Ordering::Relaxed) { &self.store } else { &self.first }
    }

    fn seen<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let missing = matches!(answer, Err(Error::NotFound { .. } | Error::AlreadyExists { .. }));
        if answer.is_ok() || missing {
            self.reached.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// What the user can do about it belongs to the message.
    fn failed(&self, error: Error) -> Failure {
        let text = short(chain(&error));
        let (code, advice) = match &error {
            Error::NotFound { .. } => (status::ERR_NOT_FOUND, "does the bucket exist?".to_string()),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                (status::ERR_IO, "check 's3.access-key' and 's3.secret-key', and what they may do".to_string())
            }
            Error::InvalidPath { .. } => (status::ERR_USAGE, "choose another path".to_string()),
            _ if text.contains("InvalidAccessKeyId") || text.contains("SignatureDoesNotMatch") => {
                (status::ERR_IO, "check 's3.access-key' and 's3.secret-key'".to_string())
            }
            _ => {
                let advice = format!("is {} the right 's3.endpoint', and can it be reached?", self.endpoint);
                (status::ERR_IO, advice)
            }
        };
        failure(code, format!("{text}; {advice}"))
    }

    pub async fn stat(&self, path: &str) -> Outcome<Stat> {
        let prefix = path.trim_matches('/');
        let key = key_of(prefix)?;
        if !prefix.is_empty() {
            match self.seen(self.store().head(&key).await) {
                Ok(found) => {
                    let modified_ms = found.last_modified.timestamp_millis();
                    return Ok(Stat { size: found.size, modified_ms, is_directory: false });
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        let below = self.store().list((!prefix.is_empty()).then_some(&key)).next().await;
        match below {
            Some(Ok(_)) => Ok(Stat { size: 0, modified_ms: 0, is_directory: true }),
            Some(Err(error)) => Err(self.failed(error)),
            None => Err(failure(status::ERR_NOT_FOUND, "there is no such object, and nothing below it")),
        }
    }

    pub async fn list(&self, path: &str) -> Outcome<Vec<(String, Stat)>> {
        let key = key_of(path)?;
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let found = self.seen(self.store().list_with_delimiter(prefix).await).map_err(|e| self.failed(e))?;
        let name = |path: &Path| path.filename().unwrap_or("").to_string();
        let mut entries = Vec::new();
        for object in &found.objects {
            let modified_ms = object.last_modified.timestamp_millis();
            entries.push((name(&object.location), Stat { size: object.size, modified_ms, is_directory: false }));
        }
        for folder in &found.common_prefixes {
            entries.push((name(folder), Stat { size: 0, modified_ms: 0, is_directory: true }));
        }
        Ok(entries)
    }

    pub async fn read(&self, path: &str, offset: u64, target: &mut [u8]) -> Outcome<()> {
        let key = &key_of(path)?;
        let chunks = target.chunks_mut(RANGE).enumerate().map(|(i, chunk)| async move {
            let begin = offset + (i * RANGE) as u64;
            let got = self.store().get_range(key, begin..begin + chunk.len() as u64).await;
            let got = got.map_err(|e| self.failed(e))?;
            if got.len() != chunk.len() {
                return Err(failure(status::ERR_IO, "the object is shorter than it was"));
            }
            chunk.copy_from_slice(&got);
            Ok(())
        });
        let chunks: Vec<_> = chunks.collect();
        stream::iter(chunks).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(|_| ())
    }

    pub async fn put_new(&self, path: &str, data: &[u8]) -> Outcome<bool> {
        let key = key_of(path)?;
        let options = PutOptions::from(PutMode::Create);
        match self.seen(self.store().put_opts(&key, Bytes::copy_from_slice(data).into(), options).await) {
            Ok(_) => Ok(true),
            /* An answer that was lost makes the repeated request lose against the first: look whose it is. */
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                let there = self.store().get_opts(&key, Default::default()).await.map_err(|e| self.failed(e))?;
                Ok(there.bytes().await.map_err(|e| self.failed(e))? == data)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    pub async fn put(&self, path: &str, data: &[u8]) -> Outcome<()> {
        let key = key_of(path)?;
        let put = self.store().put_opts(&key, Bytes::copy_from_slice(data).into(), PutOptions::default());
        put.await.map(|_| ()).map_err(|e| self.failed(e))
    }

    async fn remove_one(&self, key: &Path) -> Outcome<()> {
        match self.store().delete(key).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            /* what a batch of removals says of a key that somebody else, or a lost answer's request, has removed */
            Err(error) if chain(&error).contains("NoSuchKey") => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub async fn remove(&self, path: &str, tree: bool) -> Outcome<()> {
        let key = key_of(path)?;
        if !tree {
            return self.remove_one(&key).await;
        }
        if key.as_ref().is_empty() {
            return Err(failure(status::ERR_USAGE, "a whole bucket is not removed"));
        }
        let found: Vec<_> = self.store().list(Some(&key)).try_collect().await.map_err(|e| self.failed(e))?;
        let removals = found.iter().map(|object| self.remove_one(&object.location)).collect::<Vec<_>>();
        stream::iter(removals).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(|_| ())
    }

    pub async fn upload_begin(&self, path: &str) -> Outcome<String> {
        self.seen(self.store().create_multipart(&key_of(path)?).await).map_err(|e| self.failed(e))
    }

    pub async fn upload_part(&self, path: &str, id: &str, index: usize, data: &[u8]) -> Outcome<String> {
        let data = Bytes::copy_from_slice(data).into();
        let part = self.store().put_part(&key_of(path)?, &id.to_string(), index, data).await;
        part.map(|part| part.content_id).map_err(|e| self.failed(e))
    }

    /// Can be repeated: an upload that is not there any more is complete if its object is.
    pub async fn upload_complete(&self, path: &str, id: &str, tags: Vec<String>) -> Outcome<()> {
        let key = key_of(path)?;
        let parts = tags.into_iter().map(|content_id| PartId { content_id }).collect();
        match self.store().complete_multipart(&key, &id.to_string(), parts).await {
            Ok(_) => Ok(()),
            Err(error) => match self.store().head(&key).await {
                Ok(_) => Ok(()),
                Err(Error::NotFound { .. }) if chain(&error).contains("NoSuchUpload") => {
                    let why = "it was written before the checkpoint, and both the upload and the object are gone: the \
                               output of the checkpoint is not whole any more";
                    Err(failure(status::ERR_STATE, why))
                }
                Err(_) => Err(self.failed(error)),
            },
        }
    }

    pub async fn upload_abort(&self, path: &str, id: &str) -> Outcome<()> {
        match self.store().abort_multipart(&key_of(path)?, &id.to_string()).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) if chain(&error).contains("NoSuchUpload") => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Uploads under way whose keys begin with `prefix`; object_store has no call for it.
    pub async fn uploads(&self, prefix: &str) -> Outcome<Vec<(String, String)>> {
        let mut all = Vec::new();
        let mut marker = String::new();
        loop {
            let url = format!("{}?uploads=&prefix={}{marker}", self.bucket_url, escaped(prefix.trim_start_matches('/')));
            let io = |why: String| failure(status::ERR_IO, format!("list the uploads under way: {why}"));
            let mut request: HttpRequest =
                http::Request::get(&url).body(HttpRequestBody::empty()).map_err(|e| io(e.to_string()))?;
            let credential = self.store().credentials().get_credential().await.map_err(|e| self.failed(e))?;
            let authorizer = AwsAuthorizer::new(&credential, "s3", &self.region);
            authorizer.try_authorize(&mut request, None).map_err(|e| self.failed(e))?;
            let answer = self.client.execute(request).await.map_err(|e| io(chain(&e)))?;
            let code = answer.status();
            let body = answer.into_body().bytes().await.map_err(|e| io(chain(&e)))?;
            let body = String::from_utf8_lossy(&body).into_owned();
            if !code.is_success() {
                return Err(io(format!("{code} {body}")));
            }
            for upload in body.split("<Upload>").skip(1) {
                if let (Some(key), Some(id)) = (element(upload, "Key"), element(upload, "UploadId")) {
                    all.push((key, id));
                }
            }
            if element(&body, "IsTruncated").as_deref() != Some("true") {
                return Ok(all);
            }
            let next = (element(&body, "NextKeyMarker"), element(&body, "NextUploadIdMarker"));
            let (Some(key), Some(id)) = next else { return Ok(all) };
            marker = format!("&key-marker={}&upload-id-marker={}", escaped(&key), escaped(&id));
        }
    }
}

/// A server's answer in XML comes down to its code and message.
fn short(text: String) -> String {
    let Some(begin) = text.find("<?xml").or_else(|| text.find("<Error>")) else { return text };
    let said = (element(&text, "Code"), element(&text, "Message"));
    let (Some(code), Some(message)) = said else { return text };
    format!("{}{code}: {message}", &text[..begin])
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let begin = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let end = begin + xml[begin..].find(&format!("</{name}>"))?;
    let plain = xml[begin..end].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(plain.replace("&apos;", "'").replace("&#39;", "'").replace("&amp;", "&"))
}

/// For the query of a URL.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
