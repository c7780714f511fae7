//! From settings to a serving exporter, and to its end.

use super::access::{Access, hash_of_file};
use super::clock::Clock;
use super::data_dir::{self, IfDamaged, Place, Surroundings};
use super::routes::Routes;
use super::state::{Durable, Exporter, InForce};
use super::web::Web;
use super::{connections, retention};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::{LoadedServe, Reading, ServeSettings};
use crate::store::{Retention, Store, StoreOptions};
use jiff::Timestamp;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the store may take to close. Everything acknowledged is on disk already.
const CLOSING: Duration = Duration::from_millis(30);

/// What an exporter needs from outside; tests hand in their own.
pub struct Outside<Stop, Reload> {
    /// Where connections come in.
    pub listener: TcpListener,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How the port is guarded, where more than tokens do.
    pub web: Option<Web>,
    /// What decides where the store lies.
    pub surroundings: Surroundings,
    /// Completes when the exporter is to end.
    pub stop: Stop,
    /// Gives the next settings each time they are to be read again; `None` when they never will be.
    pub reload: Reload,
}

/// Serves until it is told to stop.
///
/// # Errors
/// The store cannot be opened, or the settings cannot be applied.
pub async fn run<Stop, Reload, Next>(loaded: LoadedServe, outside: Outside<Stop, Reload>) -> Result<()>
where
    Stop: Future<Output = ()>,
    Reload: FnMut() -> Next + Send + 'static,
    Next: Future<Output = Option<Result<LoadedServe>>> + Send,
{
    let Outside { listener, clock, web, surroundings, stop, mut reload } = outside;
    let web = web.map(Arc::new);
    let in_container = surroundings.container;
    let exporter = Arc::new(Exporter::new(apply(loaded, in_container)?, clock, web.clone()));
    // Connections are taken while the store opens, so that a probe is told "starting" and not "refused".
    let opening = open_store(Arc::clone(&exporter), surroundings);
    let reloading = tokio::spawn({
        let exporter = Arc::clone(&exporter);
        async move {
            while let Some(next) = reload().await {
                put_in_force(&exporter, next, in_container).await;
            }
        }
    });
    let routes = Arc::new(Routes::new(Arc::clone(&exporter)));
    let (failed, failure) = tokio::sync::oneshot::channel();
    let kept = Arc::clone(&exporter);
    let opening = tokio::spawn(async move {
        match opening.await {
            Err(error) => {
                // Nobody listens any more where the exporter was stopped meanwhile.
                let _ = failed.send(error);
            }
            Ok(()) => {
                drop(failed);
                retention::keep(kept).await;
            }
        }
    });
    let mut trouble = None;
    connections::serve(listener, routes, web, async {
        tokio::pin!(stop);
        tokio::select! {
            () = &mut stop => tracing::info!("told to stop"),
            // The channel closes without an error once the store is open; then only the signal ends it.
            failure = failure => match failure {
                Ok(error) => trouble = Some(error),
                Err(_) => {
                    stop.await;
                    tracing::info!("told to stop");
                }
            },
        }
    })
    .await;
    reloading.abort();
    opening.abort();
    if let Some(store) = exporter.open_store()
        && tokio::time::timeout(CLOSING, store.close()).await.is_err()
    {
        tracing::info!("the store is still at work: what is not acknowledged is dropped");
    }
    match trouble {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Turns settings into what handlers use. A token file that cannot be read means that nothing is taken in.
fn apply(mut loaded: LoadedServe, in_container: bool) -> Result<InForce> {
    loaded.settings.reading.get_or_insert(if in_container { Reading::Open } else { Reading::Loopback });
    let access = access(&loaded.settings);
    InForce::new(loaded, access).map_err(|(path, what)| Error::new(Code::SettingsInvalid, format!("{path}: {what}")))
}

fn access(settings: &ServeSettings) -> Access {
    let Some(path) = &settings.admin_token_file else {
        tracing::warn!("no admin_token_file is set: figures are shown, but nothing is taken in");
        return Access::default();
    };
    match hash_of_file(path) {
        Ok(hash) => Access::new(Some(hash)),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the token cannot be read: nothing is taken in");
            Access::default()
        }
    }
}

async fn put_in_force(exporter: &Exporter, next: Result<LoadedServe>, in_container: bool) {
    let before = exporter.in_force();
    match next.and_then(|next| apply(next, in_container)) {
        Ok(next) => {
            if next.settings.listen != before.settings.listen || next.settings.data_dir != before.settings.data_dir {
                tracing::warn!("listen and data_dir changed: they hold after a restart");
            }
            tracing::info!(config_sha256 = next.sha256.as_deref().unwrap_or("none"), "the settings are in force");
            exporter.apply(next).await;
        }
        Err(error) => {
            tracing::error!(%error, "the settings cannot be used: those in force stay");
            exporter.keep_settings(error.to_string());
        }
    }
}

async fn open_store(exporter: Arc<Exporter>, surroundings: Surroundings) -> Result<()> {
    let in_force = exporter.in_force();
    let settings = &in_force.settings;
    let place = data_dir::choose(settings.data_dir.as_deref(), &surroundings).map_err(|cause| {
        let directory = settings.data_dir.as_deref().unwrap_or_else(|| "".as_ref()).display();
        Error::new(Code::StoreDamaged, format!("the data directory {directory} cannot be used: {cause}"))
            .hint("Mend its owner and permissions, or name another in data_dir.")
    })?;
    let options = store_options(&in_force);
    let if_damaged = surroundings.if_damaged;
    // Where there is no store yet the sample will be shown: it is made while the empty store is.
    let is_new = !matches!(&place, Place::File(path) if path.exists());
    let sample = is_new.then(|| {
        let exporter = Arc::clone(&exporter);
        tokio::spawn(async move { exporter.make_sample().await })
    });
    let (store, durable) = tokio::task::spawn_blocking(move || match place {
        Place::File(path) => {
            // What a crash left of a copy that was being sent or taken in.
            let _ = path.parent().map(|directory| std::fs::remove_dir_all(directory.join("exchange")));
            let store = open_file(&path, options, if_damaged)?;
            tracing::info!(path = %path.display(), "the store is open");
            Ok::<_, Error>((store, Durable::OnDisk(path)))
        }
        Place::Memory(refused) => {
            tracing::warn!(
                tried = refused.join("; "),
                "there is no directory to write to: what is pushed is lost when the process ends; \
                 mount a volume at /data or set data_dir"
            );
            Ok((Store::in_memory(options)?, Durable::InMemory))
        }
    })
    .await
    .map_err(|_| Error::new(Code::Unexpected, "opening the store broke off"))??;
    if let Some(sample) = sample {
        // Where it broke off, it is made again when it is looked for.
        let _ = sample.await;
    }
    exporter.begin(store, durable).await;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    Ok(())
}

/// Opens a store. A damaged one is set aside only where somebody asked for that, and never one that is newer or
/// somebody else's.
fn open_file(path: &Path, options: StoreOptions, if_damaged: IfDamaged) -> Result<Store> {
    match Store::open(path, options.clone()) {
        Err(error) if error.is_damage() && if_damaged == IfDamaged::SetAside => {
            let aside = data_dir::set_aside(path, Timestamp::now()).map_err(|cause| {
                Error::new(Code::StoreDamaged, format!("cannot set {} aside: {cause}", path.display()))
            })?;
            tracing::warn!(%error, kept = %aside.display(), "the damaged store was set aside: an empty one takes its place");
            Ok(Store::open(path, options)?)
        }
        opened => Ok(opened?),
    }
}

fn store_options(in_force: &InForce) -> StoreOptions {
    let Retention { days, max_bytes } = in_force.retention();
    StoreOptions { rules: in_force.rules.clone(), retention_days: days, max_bytes, ..StoreOptions::default() }
}
