//! Everything is folded again beside the old figures, which are served until the new ones stand: under changed rules,
//! and where a run that was folded in turned out to be an outage.

use super::error::StoreError;
use super::folded;
use super::live::Live;
use super::schema::Place;
use super::writer::{Applying, Message, Saved, Shared, Work};
use crate::quality::CompiledRules;
use rusqlite::Connection;
use std::sync::{Arc, PoisonError};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Folds everything again under these rules on a thread of its own, and has the writer show it. What comes back tells
/// when the new figures stand.
pub(super) fn begin(
    shared: &Arc<Shared>,
    messages: WeakSender<Message>,
    rules: Arc<CompiledRules>,
) -> Result<Receiver<Result<(), StoreError>>, StoreError> {
    {
        let mut live = shared.live.write().unwrap_or_else(PoisonError::into_inner);
        live.folding = Some(rules.version.clone());
        *shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live.snapshot());
    }
    let (answer, done) = oneshot::channel();
    let shared = Arc::clone(shared);
    super::spawn("store fold", move || match refold(&shared.place, rules) {
        Ok(folded) => {
            if let Some(messages) = messages.upgrade() {
                // A closed store folds again when it is opened.
                let exchange = Box::new(Exchange::new(folded, answer));
                let _ = messages.blocking_send(Message::Alone(exchange, Saved::WhenDue));
            }
        }
        Err(error) => {
            tracing::error!(%error, "the figures could not be folded again");
            // The caller may have gone.
            let _ = answer.send(Err(error));
        }
    })?;
    Ok(done)
}

/// Folds all stored reports under these rules. Takes its time; holds no lock.
pub(super) fn refold(place: &Place, rules: Arc<CompiledRules>) -> Result<Live, StoreError> {
    let connection = place.open_reader()?;
    // One read transaction: all that is read is of one moment.
    let transaction = connection.unchecked_transaction()?;
    let mut live = Live::new(rules);
    folded::load_projects(&transaction, &mut live)?;
    folded::register_tests(&transaction, &mut live)?;
    super::defects::load(&transaction, &mut live)?;
    let newest = folded::newest_report(&transaction)?;
    live.fold_stored(&transaction, newest)?;
    Ok(live)
}

/// Puts freshly folded figures in the place of the old ones.
pub(super) struct Exchange {
    folded: Option<Live>,
    answer: Sender<Result<(), StoreError>>,
}

impl Exchange {
    pub(super) fn new(folded: Live, answer: Sender<Result<(), StoreError>>) -> Self {
        Self { folded: Some(folded), answer }
    }
}

impl Work for Exchange {
    fn apply(&mut self, _: &mut Applying<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn fold(&mut self, connection: &Connection, live: &mut Live) -> Result<(), StoreError> {
        let Some(mut new) = self.folded.take() else { return Ok(()) };
        if live.folding.as_deref() != Some(new.rules.version.as_str()) {
            // The rules changed meanwhile; another fold is on its way.
            return Ok(());
        }
        // What was stored while the fold took its time. Defects and deployments are few: they are read again.
        folded::load_projects(connection, &mut new)?;
        folded::register_tests(connection, &mut new)?;
        for project in new.projects.values_mut() {
            project.state.sums.defects = Default::default();
            project.kinds = Arc::default();
            project.state.sums.deployments = Default::default();
        }
        super::defects::load(connection, &mut new)?;
        new.fold_stored(connection, folded::newest_report(connection)?)?;
        new.keep_what_cannot_be_folded_again(live, folded::oldest_report_day(connection)?);
        // The next save writes all of it under the new rules; until then a start folds again.
        *live = new;
        live.unsaved = (usize::MAX, usize::MAX);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        // The caller may have gone.
        let _ = self.answer.send(result);
    }
}
