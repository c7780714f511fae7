//! A small change that needs no folding: a closure over the connection.

use super::error::StoreError;
use super::writer::{Applying, Work};
use tokio::sync::oneshot::Sender;

/// A change whose refusals are the caller's fault and undo nothing else.
pub(super) struct Statement<T, F> {
    change: F,
    answer: Sender<Result<T, StoreError>>,
    outcome: Option<Result<T, StoreError>>,
}

impl<T, F> Statement<T, F> {
    pub(super) fn new(change: F, answer: Sender<Result<T, StoreError>>) -> Self {
        Self { change, answer, outcome: None }
    }
}

impl<T, F> Work for Statement<T, F>
where
    T: Send,
    F: FnMut(&mut Applying<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        match (self.change)(applying) {
            Err(error @ (StoreError::Invalid { .. } | StoreError::Taken { .. } | StoreError::Unknown { .. })) => {
                self.outcome = Some(Err(error));
            }
            Err(error) => return Err(error),
            Ok(value) => self.outcome = Some(Ok(value)),
        }
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { answer, outcome, .. } = *self;
        // The caller may have gone.
        let _ = answer.send(result.and_then(|()| outcome.unwrap_or(Err(StoreError::Closed))));
    }
}
