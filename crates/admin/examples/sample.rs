//! The admin service with made-up numbers, to look at: `cargo run -p admin --example sample [ADDRESS]`.

use std::sync::Arc;
use std::time::Instant;

use admin::model::Status;
use admin::{Command, CommandError, Source};

#[path = "../tests/sample/mod.rs"]
mod sample;

struct Sample(Instant);

impl Source for Sample {
    fn status(&self) -> Status {
        sample::status(300_000.0 + self.0.elapsed().as_secs_f64())
    }

    fn command(&self, _: Command) -> Result<(), CommandError> {
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7070".into());
    let listener = std::net::TcpListener::bind(&address)?;
    listener.set_nonblocking(true)?;
    println!("http://{}/", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(admin::serve(listener, Arc::new(Sample(Instant::now()))))
}
