//! An engine of a test's own, behind a real unix socket, whose calls fail as the test says.
//!
//! Behind the socket is either a real engine, to which everything is passed on ([`Engine::before`]), or one that only
//! keeps books ([`Engine::fake`]): it makes, starts and removes containers as the real one does, and where one of ours
//! would run it serves the few answers that `up`, `status` and `down` ask for. The first is the truth, the second is
//! fast, so that every single call can be made to fail.

mod answers;
mod archive;
mod faults;
mod model;
mod services;

pub use faults::{Fault, Kind};
pub use model::Model;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use faults::Faults;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

/// A running engine; it ends, and everything it served with it, when it is dropped.
pub struct Engine {
    socket: PathBuf,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    behind: Behind,
    faults: Mutex<Faults>,
}

enum Behind {
    Fake(Arc<Model>),
    Real(PathBuf),
}

impl Engine {
    /// One that keeps books.
    pub fn fake(socket: &Path) -> Self {
        Self::start(socket, Behind::Fake(Arc::new(Model::new())))
    }

    /// One that passes everything on to a real engine.
    pub fn before(real: &Path, socket: &Path) -> Self {
        Self::start(socket, Behind::Real(real.to_owned()))
    }

    fn start(socket: &Path, behind: Behind) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shared = Arc::new(Shared { behind, faults: Mutex::default() });
        let listener = runtime.block_on(async { UnixListener::bind(socket) }).unwrap();
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { socket: socket.to_owned(), shared, runtime: Some(runtime) }
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Orders a fault; calls are counted from 1 anew.
    pub fn fail(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().order(fault);
    }

    /// Takes the fault back, and tells whether any call has met it.
    pub fn heal(&self) -> bool {
        self.shared.faults.lock().unwrap().heal()
    }

    /// How many calls there were since the last fault was ordered.
    pub fn calls(&self) -> usize {
        self.shared.faults.lock().unwrap().calls()
    }

    /// The books of a fake.
    pub fn model(&self) -> &Arc<Model> {
        match &self.shared.behind {
            Behind::Fake(model) => model,
            Behind::Real(_) => panic!("only a fake engine keeps books"),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(Arc::clone(&shared), request));
            // A connection that breaks off is what is ordered here.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error ends the connection without an answer.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let is_stream = request.uri().path().ends_with("/events");
    let call = format!("{} {}", request.method(), request.uri().path());
    let kind = shared.faults.lock().unwrap().next(&call);
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    match kind {
        None => shared.pass(request).await,
        Some(Kind::Refused) => Ok(answers::message(500, "a fault was ordered")),
        Some(Kind::Reset) => Err(reset()),
        Some(Kind::Garbage) => Ok(Response::new(Body::from("\u{0}<html>{\"Id\": 7"))),
        Some(Kind::Hang) => std::future::pending().await,
        Some(Kind::LostAnswer | Kind::Half) if is_stream => Err(reset()),
        Some(Kind::LostAnswer) => {
            let answer = shared.pass(request).await?;
            let _ = answer.into_body().collect().await;
            Err(reset())
        }
        Some(Kind::Half) => {
            let (head, body) = shared.pass(request).await?.into_parts();
            let whole = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            let parts = futures_util::stream::iter([Ok::<Bytes, io::Error>(half), Err(reset())]);
            let mut response = Response::new(Body::from_stream(parts));
            *response.status_mut() = head.status;
            Ok(response)
        }
    }
}

impl Shared {
    async fn pass(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        match &self.behind {
            Behind::Fake(model) => {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                Ok(answers::answer(model, &head, body).await)
            }
            Behind::Real(socket) => {
                let stream = TokioIo::new(UnixStream::connect(socket).await?);
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(sender.send_request(request).await.map_err(io::Error::other)?.map(Body::new))
            }
        }
    }
}
