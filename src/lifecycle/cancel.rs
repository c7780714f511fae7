//! Ctrl-C and SIGTERM: the first ends the run in order, a second one at once.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long a run may take to end in order once it was asked to; the process itself then ends within two seconds.
const PATIENCE: Duration = Duration::from_millis(1_700);
/// How long the last words may take; a reader that does not read must not hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Tells whether the run is to end, and why.
#[derive(Debug, Clone)]
pub struct Cancel {
    asked: watch::Receiver<Option<(Code, Instant)>>,
}

/// What is said when a signal comes: to the first that the run ends in order, to a second one that it ends at once.
pub trait Words: Send + Sync + 'static {
    /// The run ends in order now.
    fn ending(&self, code: Code);
    /// The process is about to end, with this error.
    fn last(&self, error: Error);
}

/// For commands that only look: there is nothing to say of their end.
impl Words for () {
    fn ending(&self, _code: Code) {}
    fn last(&self, _error: Error) {}
}

impl Cancel {
    /// Listens to the process' signals from now on. A second signal ends the process with its exit code.
    ///
    /// # Errors
    /// The system gives no signals.
    pub fn on_signals(words: impl Words) -> Result<Self> {
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
                let is_second = sender.borrow().is_some();
                if is_second {
                    end_at_once(&words, code);
                }
                sender.send_replace(Some((code, Instant::now())));
                words.ending(code);
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
            Some((code, _)) => Err(ended(code)),
            None => Ok(()),
        }
    }

    /// Does something that may be left half done, such as a wait, until it is done or the run is to end.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            (code, _) = self.asked() => Err(ended(code)),
        }
    }

    /// Completes, with the error to end with, once the run is to end.
    pub async fn ended(&self) -> Error {
        ended(self.asked().await.0)
    }

    /// Completes once the run was asked to end so long ago that it has to end as it is.
    pub async fn out_of_patience(&self) {
        let (_, since) = self.asked().await;
        tokio::time::sleep_until((since + PATIENCE).into()).await;
    }

    async fn asked(&self) -> (Code, Instant) {
        let mut asked = self.asked.clone();
        let asked = asked.wait_for(Option::is_some).await.map(|asked| *asked);
        match asked {
            Ok(Some(asked)) => asked,
            // Nobody can ask any more.
            _ => std::future::pending().await,
        }
    }
}

fn end_at_once(words: &impl Words, code: Code) -> ! {
    let by = name(code);
    let error = Error::new(code, format!("ended at once by a second {by}"));
    // Printing may block, and so may not be waited for.
    std::thread::scope(|scope| {
        let (sender, said) = std::sync::mpsc::channel();
        scope.spawn(move || {
            words.last(error);
            let _ = sender.send(());
        });
        let _ = said.recv_timeout(LAST_WORDS);
        std::process::exit(i32::from(code.exit()))
    })
}

fn name(code: Code) -> &'static str {
    if code == Code::Terminated { "SIGTERM" } else { "Ctrl-C" }
}

fn ended(code: Code) -> Error {
    Error::new(code, format!("ended by {}", name(code)))
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
        sender.send_replace(Some((Code::Terminated, Instant::now())));
        assert_eq!(waiting.await.expect_err("ended").code(), Code::Terminated);
        assert_eq!(cancel.check().expect_err("ended").code(), Code::Terminated);
        cancel.out_of_patience().await;
    }

    #[tokio::test]
    async fn without_signals_work_goes_on() {
        assert_eq!(Cancel::never().or(async { Ok(7) }).await.expect("done"), 7);
    }
}
