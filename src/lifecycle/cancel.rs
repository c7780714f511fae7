//! Ctrl-C and SIGTERM: the first ends the run in order, a second one at once.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells whether the run is to end, and why.
#[derive(Debug, Clone)]
pub struct Cancel {
    asked: watch::Receiver<Option<Code>>,
}

impl Cancel {
    /// Listens to the process' signals from now on. A second signal ends the process with its exit code.
    pub fn on_signals() -> Result<Self> {
        let (sender, asked) = watch::channel(None);
        let listen = |kind| {
            signal(kind).map_err(|cause| Error::new(Code::Unexpected, format!("cannot listen to signals: {cause}")))
        };
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => Code::Interrupted,
                    _ = terminate.recv() => Code::Terminated,
                };
                if sender.send_replace(Some(code)).is_some() {
                    std::process::exit(i32::from(code.exit()));
                }
            }
        });
        Ok(Self { asked })
    }

    /// One that never comes, for tests and for callers that end on a signal anyway.
    pub fn never() -> Self {
        Self { asked: watch::channel(None).1 }
    }

    /// An error once the run is to end.
    pub fn check(&self) -> Result<()> {
        match *self.asked.borrow() {
            Some(code) => Err(ended(code)),
            None => Ok(()),
        }
    }

    /// Does something that may be left half done, such as a wait, until it is done or the run is to end.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            code = self.asked() => Err(ended(code)),
        }
    }

    /// Completes, with the error to end with, once the run is to end.
    pub async fn ended(&self) -> Error {
        ended(self.asked().await)
    }

    async fn asked(&self) -> Code {
        let mut asked = self.asked.clone();
        let code = asked.wait_for(Option::is_some).await.map(|code| code.unwrap_or(Code::Interrupted));
        match code {
            Ok(code) => code,
            // Nobody can ask any more.
            Err(_) => std::future::pending().await,
        }
    }
}

fn ended(code: Code) -> Error {
    let by = if code == Code::Terminated { "SIGTERM" } else { "Ctrl-C" };
    Error::new(code, format!("ended by {by}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_run_is_to_end() {
        let (sender, asked) = watch::channel(None);
        let cancel = Cancel { asked };
        assert!(cancel.check().is_ok());
        let waiting = cancel.or(std::future::pending::<Result<()>>());
        sender.send_replace(Some(Code::Terminated));
        assert_eq!(waiting.await.expect_err("ended").code(), Code::Terminated);
        assert_eq!(cancel.check().expect_err("ended").code(), Code::Terminated);
    }

    #[tokio::test]
    async fn without_signals_work_goes_on() {
        assert_eq!(Cancel::never().or(async { Ok(7) }).await.expect("done"), 7);
    }
}
