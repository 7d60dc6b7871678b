//! Files and health reports, as the relay asks for them.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use origin::{Certificate, FileAnswer, FileRequest, FileSpan};
use proxy::{
    Begun, Handler, HandlerAnswer, HandlerRequest, Intake, Part, Patience, Receipt, Shared, Storage, WouldBlock,
};

use crate::log;

/// While nothing is known of a tree, how often that is asked again by a thread that may wait.
const HEALTH_LOOK: Duration = Duration::from_millis(5);

/// What the workers share, once it is there: it holds the handlers, and health reports tell its load.
pub(super) type Home = Arc<OnceLock<Weak<Shared>>>;

/// One handler for each of the configuration's.
pub(super) fn build(handlers: &[config::Handler], home: &Home) -> anyhow::Result<Vec<Arc<dyn Handler>>> {
    let build = |handler: &config::Handler| -> anyhow::Result<Arc<dyn Handler>> {
        Ok(match handler {
            config::Handler::Files(files) => {
                look_into(files.root.clone())?;
                Arc::new(Files(origin::Files::open(files.clone())?))
            }
            config::Handler::Transfers(transfers) => {
                look_into(transfers.files.root.clone())?;
                look_into(transfers.described.clone())?;
                Arc::new(Transfers(origin::Transfers::open(transfers.clone())?))
            }
            config::Handler::Health(health) => {
                Arc::new(Health { tree: origin::Health::new(health.clone()), home: Arc::clone(home) })
            }
        })
    };
    handlers.iter().map(build).collect()
}

/// Says so if a tree cannot be read, on a thread of its own: looking may hang, and the tree may come later.
fn look_into(root: PathBuf) -> io::Result<()> {
    let look = move || {
        if let Err(error) = std::fs::read_dir(&root) {
            let user = rustix::process::geteuid().as_raw();
            let help = match error.kind() {
                io::ErrorKind::PermissionDenied => "let that user read it, or name another: [process] user = \"…\"",
                _ => "its requests are answered 503 until it can be read",
            };
            let fields: log::Fields<'_> =
                &[("root", &root.display()), ("uid", &user), ("error", &error), ("help", &help)];
            log::warn("a tree of files cannot be read", fields);
        }
    };
    std::thread::Builder::new().name("first-look".to_owned()).spawn(look).map(|_| ())
}

struct Files(origin::Files);

impl Handler for Files {
    fn answer(
        &self,
        request: &HandlerRequest<'_>,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Result<HandlerAnswer, WouldBlock> {
        let answer = self.0.answer(&file_request(request), patience == Patience::Wait, out);
        answer.map(rest_of).map_err(|origin::WouldBlock| WouldBlock)
    }

    fn is_resident(&self, file: &File, offset: u64, length: u64) -> bool {
        origin::is_resident(file, offset, length)
    }

    fn bring_in(&self, file: &File, offset: u64, length: u64) {
        // Whatever cannot be read shows when it is sent.
        let _ = origin::preread(file, offset, length);
    }

    fn read(&self, file: &File, offset: u64, length: usize, out: &mut Vec<u8>) -> io::Result<()> {
        origin::read(file, offset, length, out).map(|_| ())
    }

    fn keep_house(&self) {
        origin::let_go();
    }

    fn timeout(&self) -> Duration {
        self.0.timeout()
    }

    fn takes(&self, method: &str) -> bool {
        self.0.takes(method)
    }

    fn begin(&self, request: &HandlerRequest<'_>) -> Result<Begun, Receipt> {
        match self.0.begin(&file_request(request)) {
            origin::Begun::Taking { upload, interim } => Ok(Begun { intake: Box::new(Upload(upload)), interim }),
            origin::Begun::Refused(receipt) => Err(receipt_of(receipt)),
        }
    }

    fn take_timeout(&self) -> Duration {
        self.0.upload_timeout()
    }
}

struct Transfers(origin::Transfers);

impl Handler for Transfers {
    fn answer(
        &self,
        request: &HandlerRequest<'_>,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Result<HandlerAnswer, WouldBlock> {
        match patience {
            Patience::None => Err(WouldBlock),
            Patience::Wait => {
                let certificate = request.identity.and_then(certificate);
                Ok(rest_of(self.0.answer(&file_request(request), certificate, out)))
            }
        }
    }

    fn is_resident(&self, file: &File, offset: u64, length: u64) -> bool {
        origin::is_resident(file, offset, length)
    }

    fn bring_in(&self, file: &File, offset: u64, length: u64) {
        // Whatever cannot be read shows when it is sent.
        let _ = origin::preread(file, offset, length);
    }

    fn read(&self, file: &File, offset: u64, length: usize, out: &mut Vec<u8>) -> io::Result<()> {
        origin::read(file, offset, length, out).map(|_| ())
    }

    fn timeout(&self) -> Duration {
        self.0.timeout()
    }
}

/// What tells one certificate from all others.
fn certificate(identity: &tls::Identity) -> Option<Certificate<'_>> {
    let find = |name: &str| identity.variables.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str());
    Some(Certificate { serial: find("SSL_CLIENT_M_SERIAL")?, fingerprint: find("SSL_CLIENT_FINGERPRINT")? })
}

fn file_request<'r>(request: &HandlerRequest<'r>) -> FileRequest<'r> {
    let HandlerRequest { head, path, query, date, fields, .. } = *request;
    FileRequest { head, path, query, date, connection: fields }
}

struct Upload(Box<origin::Upload>);

impl Intake for Upload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Receipt> {
        self.0.write(bytes).map_err(receipt_of)
    }

    fn finish(&mut self, trailers: &[u8]) -> Option<Receipt> {
        self.0.finish(trailers).map(receipt_of)
    }

    fn abandon(&mut self, rest: &[u8]) {
        self.0.abandon(rest);
    }
}

fn receipt_of(origin::Receipt { status, fields, body }: origin::Receipt) -> Receipt {
    Receipt { status, fields, body }
}

fn rest_of(answer: FileAnswer) -> HandlerAnswer {
    let rest = match answer.body {
        origin::Body::Done => Vec::new(),
        origin::Body::File(span) => vec![part_of(span)],
        origin::Body::Parts(parts) => parts
            .into_iter()
            .map(|part| match part {
                origin::Part::Bytes(bytes) => Part::Bytes(bytes),
                origin::Part::File(span) => part_of(span),
            })
            .collect(),
    };
    HandlerAnswer { status: answer.status, rest }
}

fn part_of(span: FileSpan) -> Part {
    let storage = match span.storage {
        origin::Storage::Memory => Storage::Memory,
        origin::Storage::Local => Storage::Local,
        origin::Storage::Remote => Storage::Remote,
    };
    Part::File { file: span.file, offset: span.offset, length: span.length, storage }
}

struct Health {
    tree: origin::Health,
    home: Home,
}

impl Handler for Health {
    fn answer(
        &self,
        request: &HandlerRequest<'_>,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Result<HandlerAnswer, WouldBlock> {
        let began = Instant::now();
        let mut verdict = self.tree.check();
        while verdict == origin::Verdict::Pending {
            if patience == Patience::None {
                return Err(WouldBlock);
            }
            if began.elapsed() > self.tree.timeout() {
                break;
            }
            std::thread::sleep(HEALTH_LOOK);
            verdict = self.tree.check();
        }
        let is_head = request.head.method == "HEAD";
        let load = self.home.get().and_then(Weak::upgrade).map(|shared| shared.load_report());
        Ok(rest_of(self.tree.answer(&verdict, is_head, request.date, request.fields, load.as_ref(), out)))
    }

    fn is_resident(&self, _file: &File, _offset: u64, _length: u64) -> bool {
        true
    }

    fn bring_in(&self, _file: &File, _offset: u64, _length: u64) {}

    fn read(&self, _file: &File, _offset: u64, _length: usize, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    /// Who asks how much there is to send does not add to it.
    fn is_load(&self) -> bool {
        false
    }

    /// Longer than the report's own, which is to be heard.
    fn timeout(&self) -> Duration {
        self.tree.timeout() + Duration::from_secs(1)
    }
}
