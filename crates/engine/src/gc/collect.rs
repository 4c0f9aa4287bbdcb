//! Runs gc: on request, and once a day.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kugetsu_api::gc::{GcItem, GcKept, GcObject, GcRequest, StorageObject, StorageSize};
use kugetsu_api::problem::Problem;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrLink;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::text::rfc3339;
use kugetsu_store::query::{ShownAs, ViewFilter, ViewQuery};

use super::inventory::{self, Category, Inventory, Target};
use super::plan::{Limits, Plan, Removal, plan};
use super::removal;
use crate::engine::Engine;
use crate::home::reserve;
use crate::problems::{internal, store_failed};
use crate::sizes::{self, Sizes};

/// Interval of the gc that the daemon runs.
const DAILY: Duration = Duration::from_hours(24);
/// Shortest interval of measurements.
const HOURLY: Duration = Duration::from_hours(1);
/// A measurement is repeated after at least this many times as long as it took.
const SHARE: u32 = 100;

/// Removes what is old enough, or only lists it.
///
/// # Errors
/// The home or the database cannot be read. An item that cannot be removed is part of the result.
pub async fn collect(engine: &Engine, request: &GcRequest) -> Result<GcObject, Problem> {
    reserve::give_up_if_full(engine.home());
    let _running = engine.collecting().lock().await;
    collect_alone(engine, request).await
}

/// As [`collect`], for a caller that holds `collecting`.
async fn collect_alone(engine: &Engine, request: &GcRequest) -> Result<GcObject, Problem> {
    let limits = limits(engine, request);
    let mut sizes = engine.home_sizes().unwrap_or_default();
    let inventory = measure(engine, &mut sizes, limits.rescues.is_some()).await?;
    let Plan { removals, excess } = plan(&inventory, &limits);
    let mut object = GcObject {
        dry_run: request.dry_run,
        items: removals.iter().map(item).collect(),
        freed: vec![],
        kept: vec![],
        excess_bytes: excess,
        finished_issues: finished(engine).await?,
        storage: storage_object(&inventory),
    };
    if request.dry_run {
        return Ok(object);
    }
    let mut freed: BTreeMap<Category, (u64, u64)> = BTreeMap::new();
    let mut add = |category: Category, found: removal::Freed| {
        let (count, bytes) = freed.entry(category).or_default();
        *count += found.count;
        *bytes += found.bytes;
    };
    // All runs at once: the database marks them, then their directories are removed.
    let runs = removals.iter().filter_map(|removal| match removal.item.target {
        Target::Run(run) => Some(run),
        _ => None,
    });
    match removal::remove_runs(engine, runs.collect(), limits.history).await {
        Ok(found) => add(Category::Runs, found),
        Err(error) => object.kept.push(kept("runs", &error)),
    }
    for removal in removals.iter().filter(|removal| removal.item.category != Category::Runs) {
        match removal::remove(engine, &removal.item).await {
            Ok(found) => {
                tracing::info!(item = removal.item.name, why = removal.why, "removed by gc");
                add(removal.item.category, found);
            }
            Err(error) => {
                tracing::warn!(item = removal.item.name, error = error.message, "gc could not remove it");
                object.kept.push(kept(&removal.item.name, &error));
            }
        }
    }
    if let Err(error) = removal::combine_packs(engine).await {
        object.kept.push(kept("packs", &error));
    }
    let freed = freed.into_iter().filter(|(_, (count, _))| *count > 0);
    object.freed = freed
        .map(|(category, (count, bytes))| StorageSize { kind: category.name().to_owned(), bytes, count })
        .collect();
    object.storage = storage_object(&measure(engine, &mut sizes, false).await?);
    let max = limits.max_size.unwrap_or(u64::MAX);
    object.excess_bytes = object.storage.total_bytes.saturating_sub(max);
    Ok(object)
}

/// Returns the sizes as they were measured last.
pub fn storage(engine: &Engine) -> Option<StorageObject> {
    engine.home_sizes().and_then(|sizes| sizes.storage)
}

/// Runs gc if the last time is a day ago and the settings do not say otherwise, and otherwise measures the home if it is time.
pub(crate) async fn daily(engine: &Engine) {
    // Also the sizes have one writer at a time.
    let _running = engine.collecting().lock().await;
    let home = engine.home().clone();
    let mut sizes = match engine.home_sizes() {
        Some(sizes) => sizes,
        None => tokio::task::spawn_blocking(move || sizes::read(&home)).await.unwrap_or_default(),
    };
    engine.set_home_sizes(sizes.clone());
    let is_due = |last: Option<&str>, interval: Duration| {
        let last = last.and_then(|last| last.parse::<Timestamp>().ok());
        // One in the future was written before the clock was set back.
        let age = last.and_then(|last| Duration::try_from(engine.now().duration_since(last)).ok());
        age.is_none_or(|age| age >= interval)
    };
    if engine.settings().gc.daily && is_due(sizes.collected_at.as_deref(), DAILY) {
        match collect_alone(engine, &GcRequest::default()).await {
            Ok(object) => {
                let bytes: u64 = object.freed.iter().map(|size| size.bytes).sum();
                tracing::info!(bytes, kept = object.kept.len(), "the daily gc is done");
            }
            Err(error) => tracing::warn!(error = error.message, "the daily gc failed; the next attempt is in a day"),
        }
        sizes = engine.home_sizes().unwrap_or(sizes);
        sizes.collected_at = Some(engine.now().to_string());
        return store(engine, &sizes).await;
    }
    let measured = sizes.storage.as_ref().map(|storage| storage.measured_at.as_str());
    if is_due(measured, HOURLY.max(sizes.took * SHARE))
        && let Err(error) = measure(engine, &mut sizes, false).await
    {
        tracing::warn!(error = error.message, "the home could not be measured");
    }
}

async fn measure(engine: &Engine, sizes: &mut Sizes, with_rescues: bool) -> Result<Inventory, Problem> {
    let begin = Instant::now();
    let inventory = inventory::take(engine, with_rescues).await?;
    sizes.took = begin.elapsed();
    sizes.storage = Some(storage_object(&inventory));
    store(engine, sizes).await;
    Ok(inventory)
}

async fn store(engine: &Engine, sizes: &Sizes) {
    engine.set_home_sizes(sizes.clone());
    let (home, sizes) = (engine.home().clone(), sizes.clone());
    let written = tokio::task::spawn_blocking(move || sizes::write(&home, &sizes)).await;
    if let Err(error) = written.map_err(internal).and_then(|written| written.map_err(internal)) {
        tracing::warn!(error = error.message, "the sizes of the home could not be stored");
    }
}

fn limits(engine: &Engine, request: &GcRequest) -> Limits {
    let settings = engine.settings();
    let either = |typed: Option<u64>, set: Option<Duration>| typed.map(Duration::from_secs).or(set);
    Limits {
        history: Some(settings.queue.keep),
        mirrors: either(request.mirrors_older_than_seconds, Some(settings.gc.mirrors)),
        rescues: either(request.rescues_older_than_seconds, settings.gc.rescues),
        quarantine: either(request.quarantine_older_than_seconds, settings.gc.quarantine),
        max_size: settings.gc.max_size_bytes(),
    }
}

/// Counts issues that are done or merged and still have a worktree.
async fn finished(engine: &Engine) -> Result<u64, Problem> {
    let shown_as =
        TaskState::STATES.iter().filter(|state| state.is_final()).map(|state| ShownAs::Task(*state)).collect();
    let query = ViewQuery::new(ViewFilter::Issues { shown_as, repo: None });
    let views = engine.store().views(query).await.map_err(store_failed)?.views;
    let is_finished = |view: &&kugetsu_store::view::RunView| {
        let is_merged = view.pr.as_ref().and_then(PrLink::state) == Some(PrState::Merged);
        view.worktree.is_some() && (is_merged || view.task.state == TaskState::Done)
    };
    Ok(views.iter().filter(is_finished).count() as u64)
}

fn item(removal: &Removal) -> GcItem {
    GcItem {
        kind: removal.item.category.name().to_owned(),
        name: removal.item.name.clone(),
        bytes: removal.item.bytes,
        age_seconds: removal.age.as_secs(),
        why: removal.why.clone(),
    }
}

fn kept(name: &str, error: &Problem) -> GcKept {
    GcKept { name: name.to_owned(), why: error.message.clone() }
}

fn storage_object(inventory: &Inventory) -> StorageObject {
    let sizes = inventory.sizes.iter();
    let kinds =
        sizes.map(|size| StorageSize { kind: size.category.name().to_owned(), bytes: size.bytes, count: size.count });
    StorageObject { measured_at: rfc3339(inventory.at), total_bytes: inventory.total(), kinds: kinds.collect() }
}
