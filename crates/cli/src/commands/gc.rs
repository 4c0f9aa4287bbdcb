//! `kugetsu gc`: removes what is old from the home.

use std::time::{Duration, Instant};

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::gc::{GcItem, GcObject, GcRequest, StorageObject};
use kugetsu_api::home::Home;
use kugetsu_domain::duration;
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::{Fit, wrapped};
use crate::ui::{self, Tone};
use crate::{connect, format};

/// Remove what is old from kugetsu's home, and show how large it is.
///
/// It removes the directories of runs older than queue.keep, mirrors that have been unused for gc.mirrors, and more if the home is
/// larger than gc.max_size. Rescues and quarantined files may be the only copy of work: they are removed only if a setting or an
/// option says when. Those of an option are listed first, and removed after a confirmation. The daemon does the same every day, by
/// the settings.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu gc --dry-run
  kugetsu gc
  kugetsu gc --rescues-older-than 180d
  kugetsu gc --rescues-older-than 180d --yes")]
pub(crate) struct Gc {
    /// List what would be removed, and remove nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Also remove rescues that are older than this, such as 180d; defaults to the setting gc.rescues.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    rescues_older_than: Option<Duration>,
    /// Also remove quarantined files that are older than this; defaults to the setting gc.quarantine.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    quarantine_older_than: Option<Duration>,
    /// Remove mirrors that have been unused for longer than this; defaults to the setting gc.mirrors.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    mirrors_older_than: Option<Duration>,
    /// Do not ask before rescues or quarantined files are removed.
    #[arg(short, long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Gc) -> Result<Exit, Failure> {
    let seconds = |age: Option<Duration>| age.map(|age| age.as_secs());
    let mut request = GcRequest {
        dry_run: arguments.dry_run,
        mirrors_older_than_seconds: seconds(arguments.mirrors_older_than),
        rescues_older_than_seconds: seconds(arguments.rescues_older_than),
        quarantine_older_than_seconds: seconds(arguments.quarantine_older_than),
    };
    if !arguments.dry_run && !confirmed(home, &arguments, &mut request).await? {
        ui::line("removed nothing");
        return Ok(Exit::NeedsPerson);
    }
    let result = connect::call_once(home, &endpoints::GC, &request).await?;
    let exit = if result.kept.is_empty() { Exit::Done } else { Exit::Failed };
    if arguments.json {
        ui::json(&result)?;
        return Ok(exit);
    }
    if result.dry_run {
        print_items(&result.items);
    } else {
        print_freed(&result);
    }
    print_storage(&result.storage);
    print_hints(&result);
    Ok(exit)
}

/// Lists the rescues and quarantined files that the options select, and whether the user confirms. They may be the only copy of
/// work.
async fn confirmed(home: &Home, arguments: &Gc, request: &mut GcRequest) -> Result<bool, Failure> {
    let selects = [("rescues", arguments.rescues_older_than), ("quarantine", arguments.quarantine_older_than)];
    if selects.iter().all(|(_, age)| age.is_none()) {
        return Ok(true);
    }
    let listed_at = Instant::now();
    let listed = connect::call_once(home, &endpoints::GC, &GcRequest { dry_run: true, ..request.clone() }).await?;
    let is_selected = |item: &&GcItem| selects.iter().any(|(kind, age)| item.kind == *kind && age.is_some());
    let items: Vec<GcItem> = listed.items.iter().filter(is_selected).cloned().collect();
    if items.is_empty() {
        return Ok(true);
    }
    if !arguments.json {
        print_items(&items);
    }
    let what = format!("{} for good", kinds(&items));
    if !arguments.yes {
        if !ui::is_interactive() {
            return Err(Failure::needs_person(format!(
                "removing {what} needs confirmation, but stdin is not a terminal"
            ))
            .hint("list them with --dry-run, and remove them with --yes"));
        }
        if !ui::confirm(&format!("remove {what}?"))? {
            return Ok(false);
        }
    }
    // What became old enough meanwhile was not listed.
    let passed = listed_at.elapsed().as_secs();
    for age in [&mut request.rescues_older_than_seconds, &mut request.quarantine_older_than_seconds] {
        *age = age.map(|seconds| seconds.saturating_add(passed));
    }
    Ok(true)
}

/// `2 rescues and 1 quarantined item`.
fn kinds(items: &[GcItem]) -> String {
    let count = |kind: &str| items.iter().filter(|item| item.kind == kind).count() as u64;
    let named = [("rescues", "rescue"), ("quarantine", "quarantined item")];
    let named = named.iter().map(|(kind, name)| (count(kind), name)).filter(|(count, _)| *count > 0);
    named.map(|(count, name)| counted(count, name)).collect::<Vec<_>>().join(" and ")
}

fn print_items(items: &[GcItem]) {
    if items.is_empty() {
        return ui::line("nothing to remove");
    }
    let row = |item: &GcItem| {
        let age = format::seconds(item.age_seconds);
        vec![item.kind.clone(), format::size(item.bytes), age, item.name.clone(), item.why.clone()]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let columns = [
        ("KIND", Fit::Whole),
        ("SIZE", Fit::Whole),
        ("AGE", Fit::Whole),
        ("NAME", Fit::Middle(24)),
        ("REASON", Fit::Free),
    ];
    ui::table_with_tones(&columns, &rows, |_| (0, Tone::Plain));
}

fn print_freed(result: &GcObject) {
    if result.freed.is_empty() {
        ui::line("nothing was old enough to be removed");
    }
    for freed in &result.freed {
        let what = match freed.kind.as_str() {
            "runs" => format!("the files of {}", counted(freed.count, "run")),
            "mirrors" => counted(freed.count, "mirror"),
            "rescues" => counted(freed.count, "rescue"),
            kind => format!("{} in {kind}", freed.count),
        };
        ui::toned(Tone::Good, format!("removed {what} ({})", format::size(freed.bytes)));
    }
    for kept in &result.kept {
        ui::warning(format!("could not remove {}: {}", kept.name, kept.why));
    }
}

/// Prints the size of the home on one line, the largest kinds first.
pub(crate) fn print_storage(storage: &StorageObject) {
    let mut kinds: Vec<_> = storage.kinds.iter().filter(|kind| kind.bytes > 0).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.bytes));
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{} {}", kind.kind, format::size(kind.bytes))).collect();
    let text = format!("the home has {}: {}", format::size(storage.total_bytes), kinds.join(", "));
    ui::toned(Tone::Dim, wrapped(&text, 2, ui::width()));
}

fn print_hints(result: &GcObject) {
    if result.excess_bytes > 0 {
        ui::warning(format!(
            "the home is {} larger than gc.max_size, and nothing more can be removed without losing work",
            format::size(result.excess_bytes)
        ));
    }
    if result.finished_issues > 0 {
        ui::note(format!(
            "{} done or merged and not destroyed; remove worktrees with `kugetsu destroy --merged` or `kugetsu destroy \
             --done --older-than 7d`",
            counted(result.finished_issues, "issue")
        ));
    }
}
