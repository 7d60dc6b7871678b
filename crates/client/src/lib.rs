//! What commands say to servers: requests over HTTP/1.1 and TLS, the streams of messages that answer them, and files
//! that are fetched and sent, over breaks.
//!
//! None of it is the data path. It knows nothing of this program's own configuration and files: a command reads those.
//!
//! ```no_run
//! # async fn call(tls: tls::Connector, request: http::Request<client::Body>) -> Result<(), Box<dyn std::error::Error>> {
//! let url = client::Url::parse("https://node1:1811/rpc/import")?;
//! let server = client::Server::new(url, Some(tls))?;
//! let answer = server.connect().await?.send(request).await?;
//! let separator = client::separator_of(answer.headers());
//! let mut messages = client::messages(answer.into_body(), separator);
//! while let Some(message) = messages.next().await? {
//!     if let client::Message::Outcome(outcome) = client::Message::read(&message) {
//!         println!("{}", outcome.value);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod connect;
mod digest;
mod download;
mod message;
mod messages;
mod partial;
mod pieces;
mod split;
mod transfer;
mod upload;

pub use connect::{Body, Connection, Error, Server, Url};
pub use digest::Digest;
pub use message::{Message, Outcome, Progress};
pub use messages::{Messages, StreamError, messages, separator_of};
pub use split::{MESSAGE_BYTES, Separator, Splitter, TooLong};
pub use transfer::{Done, Tell, Transfer, TransferError};
pub use upload::Source;
