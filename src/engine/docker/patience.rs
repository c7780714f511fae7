//! How long an engine is waited for: a call ends when the engine falls silent, and is made again when a connection was
//! lost and the engine is still there. Every call of ours may be made twice: what is there already is as good.

use super::DockerEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::future::Future;
use std::time::{Duration, Instant};

/// A question that takes longer than this is not answered any more.
const QUESTION: Duration = Duration::from_secs(8);
/// A call that does work may take long, as long as the engine answers a ping: that often it is asked, ...
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// ... and so long the answer to a ping may take. Together these are less than ten seconds.
const PING_TIME_OUT: Duration = Duration::from_secs(5);
/// How long an engine that closed a connection may take to come back, as when it is restarted.
const ABSENCE: Duration = Duration::from_secs(10);
/// How often a call is made again after a connection was lost.
const REPEATS: u32 = 2;

impl DockerEngine {
    /// Asks something that an engine answers at once.
    pub(super) async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let limited = || async {
            match tokio::time::timeout(QUESTION, call()).await {
                Ok(answer) => answer,
                Err(_) => Err(self.silent(QUESTION)),
            }
        };
        self.meter.during(self.repeated(limited)).await
    }

    /// Has something done, however long it takes, as long as the engine lives.
    pub(super) async fn have<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let watched = || async {
            tokio::select! {
                done = call() => done,
                () = self.silence() => Err(self.silent(PING_TIME_OUT)),
            }
        };
        self.meter.during(self.repeated(watched)).await
    }

    async fn repeated<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut repeats = 0;
        loop {
            match call().await {
                Err(error) if error.code() == Code::EngineUnreachable => {
                    if repeats == REPEATS || !self.comes_back().await {
                        return Err(error.context(&self.info.address));
                    }
                    repeats += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Whether an engine that closed a connection is there, at once or within the time that a restart takes. One that
    /// takes the connection and says nothing is not.
    async fn comes_back(&self) -> bool {
        let since = Instant::now();
        while since.elapsed() < ABSENCE {
            match tokio::time::timeout(PING_TIME_OUT, self.docker.ping()).await {
                Ok(Ok(_)) => return true,
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(250)).await,
                Err(_) => return false,
            }
        }
        false
    }

    /// Completes once the engine leaves a ping without an answer. An answer that is an error is one: the call itself
    /// will tell.
    async fn silence(&self) {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            if tokio::time::timeout(PING_TIME_OUT, self.docker.ping()).await.is_err() {
                return;
            }
        }
    }

    fn silent(&self, after: Duration) -> Error {
        let message = format!("the container engine does not answer any more (waited {} s)", after.as_secs());
        Error::new(Code::EngineUnreachable, message)
            .hint("The engine hangs: restart it (sudo systemctl restart docker), then run the command again.")
            .retryable()
    }
}
