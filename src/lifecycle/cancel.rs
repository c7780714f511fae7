//! Ctrl-C and SIGTERM: the first ends the run in order, a second one at once.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::future::Future;
use std::sync::Arc;
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
        Self::listen([(SignalKind::interrupt(), Code::Interrupted), (SignalKind::terminate(), Code::Terminated)], words)
    }

    /// A thread listens that does nothing else, on a runtime of its own: whatever the command's runtime is busy with, and
    /// whoever does not read what is printed, the second signal is heard.
    fn listen(kinds: [(SignalKind, Code); 2], words: impl Words) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::new(Code::Unexpected, format!("cannot listen to signals: {cause}"));
        let (sender, asked) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let [(mut first, first_code), (mut other, other_code)] = {
            let _inside = runtime.enter();
            let [(first, first_code), (other, other_code)] = kinds;
            [(signal(first).map_err(failed)?, first_code), (signal(other).map_err(failed)?, other_code)]
        };
        let words = Arc::new(words);
        let hear = async move {
            loop {
                let code = tokio::select! {
                    _ = first.recv() => first_code,
                    _ = other.recv() => other_code,
                };
                let is_second = sender.borrow().is_some();
                if is_second {
                    end_at_once(&*words, code);
                }
                sender.send_replace(Some((code, Instant::now())));
                let words = Arc::clone(&words);
                // Printing may block. Where there is no thread for it, the run ends without these words.
                let _ = std::thread::Builder::new().spawn(move || words.ending(code));
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(hear)).map_err(failed)?;
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

    /// Passes on what it is told to say, and does not come back from saying it.
    struct Stuck(std::sync::mpsc::Sender<Code>);

    impl Words for Stuck {
        fn ending(&self, code: Code) {
            let _ = self.0.send(code);
            std::thread::park();
        }
        fn last(&self, _error: Error) {}
    }

    #[tokio::test]
    async fn a_signal_is_heard_while_the_runtime_is_busy() {
        let (sender, heard) = std::sync::mpsc::channel();
        // Signals that nobody sends to the other tests of this process.
        let kinds = [(SignalKind::user_defined1(), Code::Interrupted), (SignalKind::user_defined2(), Code::Terminated)];
        let cancel = Cancel::listen(kinds, Stuck(sender)).expect("signals");
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR2).expect("sent");
        // Not awaited: the one thread of this test's runtime is held up.
        let code = heard.recv_timeout(Duration::from_secs(10)).expect("the signal is heard");
        assert_eq!(code, Code::Terminated);
        assert_eq!(cancel.check().expect_err("ended").code(), Code::Terminated);
    }

    #[tokio::test]
    async fn without_signals_work_goes_on() {
        assert_eq!(Cancel::never().or(async { Ok(7) }).await.expect("done"), 7);
    }
}
