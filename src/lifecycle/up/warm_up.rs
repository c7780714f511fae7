//! Prometheus' part of an `up`: its configuration is loaded, and a warm-up is ended, whatever becomes of the run.

use super::{Run, answered};
use crate::checkpoint;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lifecycle::event::Event;
use crate::lifecycle::{prove, rollback, wait};
use crate::prometheus;
use crate::stack::{Action, Service, Step};
use std::time::{Duration, Instant};

impl<E: Engine> Run<'_, E> {
    /// Prometheus' part: started or reloaded, until it scrapes the exporter with its final configuration.
    pub(super) async fn prometheus(&self) -> Result<()> {
        let began = Instant::now();
        let service = Service::Prometheus;
        self.apply.service(self.plan, service).await?;
        let waiting = || self.wait(service, "its first answer on /-/ready");
        self.elsewhere(wait::answers(self.http, &self.prometheus_url, "/-/ready", waiting)).await?;
        checkpoint::reached("ready:prometheus").await;
        self.prometheus_answers.send_replace(true);
        if let Some(step) = self.step(&Action::Reload(service)) {
            // A Prometheus that stays warms up for an exporter that does not.
            let warms_up = self.step(&Action::Settle).is_some();
            let rendered = if warms_up { prometheus::render_warm_up } else { prometheus::render };
            self.load_prometheus(step, &rendered(&self.with.spec.prometheus)).await?;
        }
        self.wait(service, "the exporter");
        answered(&self.exporter_answers).await;
        let settle = self.step(&Action::Settle);
        // One that stays remembers scrapes of before.
        let since = match settle.filter(|_| !self.plan.starts(service)) {
            Some(_) => self.warm_up_began_at().await?,
            None => 0.0,
        };
        self.elsewhere(prove::target(&self.prometheus, since, |trouble| self.wait(service, trouble))).await?;
        if let Some(step) = settle {
            // After a warm-up the final files are not in the volume yet.
            self.apply.put(service, &step.object, &self.with.spec.container(service).files).await?;
            self.load_prometheus(step, &prometheus::render(&self.with.spec.prometheus)).await?;
        }
        self.done(service, began);
        Ok(())
    }

    /// Makes Prometheus run with the configuration in its volume and sees that it does.
    async fn load_prometheus(&self, step: &Step, rendered: &str) -> Result<()> {
        let began = Instant::now();
        self.wait(Service::Prometheus, "its configuration to be loaded");
        self.with.engine.signal(&step.object, "SIGHUP").await?;
        prove::loaded(&self.prometheus, rendered, Duration::from_secs(20)).await?;
        self.apply.note(step, began.elapsed());
        Ok(())
    }

    /// The time from which on a scrape is one of the warm-up that a running Prometheus was given, and of the exporter that
    /// is to stay.
    async fn warm_up_began_at(&self) -> Result<f64> {
        // It tells whole seconds.
        let loaded = self.prometheus.runtime().await?.last_config_time.as_second() as f64 + 1.0;
        Ok(self.services_started_at().await?.max(loaded))
    }

    /// Gives a Prometheus that outlives a failed run its final configuration: nobody wants to be scraped four times a
    /// second for good.
    pub(super) async fn leave_warm_up(&self, error: &Error) {
        let service = Service::Prometheus;
        let Some(step) = self.step(&Action::Settle) else { return };
        let stays = rollback::keeps_running(error.code()) || !self.plan.starts(service);
        let is_settled = self.apply.finished().iter().any(|(done, _)| done == step);
        if !stays || is_settled || !self.running_by_now().contains(&service) {
            return;
        }
        let settle = async {
            self.apply.put(service, &step.object, &self.with.spec.container(service).files).await?;
            self.with.engine.signal(&step.object, "SIGHUP").await
        };
        let outcome = tokio::select! {
            done = settle => done,
            () = self.with.cancel.out_of_patience() => return,
        };
        if let Err(error) = outcome {
            let text = format!("prometheus is left in its warm-up, which the next qastack up ends: {error}");
            self.with.observer.observe(Event::Warning(text));
        }
    }
}
