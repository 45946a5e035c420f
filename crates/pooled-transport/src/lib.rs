//! A [`tower_service::Service`] over hyper's client connections, with a pool of them for each tokio runtime.
//!
//! [`PooledTransport`] takes an [`http::Request`] with any body and returns the [`http::Response`] as soon as
//! its head arrived. A connector makes the connections: any `Service<Uri>` that hyper-util's legacy client
//! takes, such as its `HttpConnector` or that of `hyper-rustls`.
//!
//! ```
//! # async fn get() -> Result<(), Box<dyn std::error::Error>> {
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Empty};
//! use hyper_util::client::legacy::connect::HttpConnector;
//! use pooled_transport::PooledTransport;
//! use tower::ServiceExt;
//!
//! let transport = PooledTransport::new(HttpConnector::new());
//! let request = http::Request::get("http://127.0.0.1:8080/").body(Empty::<Bytes>::new())?;
//! let response = transport.oneshot(request).await?;
//! let body = response.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```

mod body;
mod connect;
mod error;
mod host;
mod pool;
mod target;
mod transport;

pub use self::{
    body::ResponseBody,
    error::Error,
    transport::{Builder, PooledTransport, ResponseFuture},
};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Compiles the code blocks of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
