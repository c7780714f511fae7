//! Takes connections and serves the requests on them, until it is told to stop.
//!
//! It bounds how many connections there are and how long a request's head may take. It must never know what is
//! asked: the router does.

use super::guard::Connection;
use super::routes::Routes;
use super::web::{Greeting, Web, greet};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// More connections than this wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// How long the head of a request may take. Longer than Prometheus' usual interval, so that it keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests in flight may take once the exporter is told to stop.
const DRAIN: Duration = Duration::from_millis(40);

/// Serves until `stop` completes, then lets requests in flight end for a moment and drops the rest. What was not
/// answered was not acknowledged.
pub async fn serve(listener: TcpListener, routes: Arc<Routes>, web: Option<Arc<Web>>, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        // The finished ones are collected as they end, or the set would grow for ever.
        while connections.try_join_next().is_some() {}
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Answers are written whole: waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                let Ok(local) = stream.local_addr() else { continue };
                let connection = Connection { local, peer };
                let (routes, web) = (Arc::clone(&routes), web.clone());
                let stopped = stopped.clone();
                connections.spawn(async move {
                    match greet(stream, web.as_deref()).await {
                        Ok(Greeting::Plain(stream)) => {
                            converse(stream, connection, |request| routes.answer(request), stopped).await;
                        }
                        Ok(Greeting::Tls(stream)) => {
                            converse(*stream, connection, |request| routes.answer(request), stopped).await;
                        }
                        Ok(Greeting::PlainAtTls(stream)) => {
                            converse(stream, connection, |request| routes.answer_plain_at_tls(request), stopped).await;
                        }
                        Err(error) => tracing::debug!(%peer, %error, "a connection did not come about"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would burn a core.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::info!(requests = connections.len(), "requests in flight are dropped unanswered");
        connections.abort_all();
    }
}

async fn converse<Answer: Future<Output = Response>>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    answer: impl Fn(Request) -> Answer,
    mut stopped: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection);
        answer(request).map(Ok::<_, Infallible>)
    });
    let conversation = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        _ = stopped.changed() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, %error, "a connection broke off");
    }
}
