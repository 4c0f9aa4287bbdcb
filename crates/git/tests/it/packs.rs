//! Packs of a mirror are combined, and nothing in them is lost.

use std::path::Path;

use kugetsu_git::mirror::Mirror;

use crate::support::{Fixture, write};

fn count(mirror: &Mirror, ending: &str) -> usize {
    let files = std::fs::read_dir(mirror.objects().join("pack")).unwrap().flatten();
    files.filter(|file| file.path().extension().is_some_and(|found| found == ending)).count()
}

/// Adds a pack with one object that no ref names. Returns its ID.
fn add_pack(fixture: &Fixture, mirror: &Mirror, number: usize) -> String {
    let name = format!("loose-{number}");
    write(&fixture.path("home"), &name, format!("content {number}"));
    let object =
        fixture.run(mirror.dir(), ["hash-object", "-w", &fixture.path("home").join(&name).display().to_string()]);
    let list = fixture.path("home").join("list");
    std::fs::write(&list, format!("{object}\n")).unwrap();
    let input = std::fs::File::open(&list).unwrap();
    let mut command = fixture.command(mirror.dir());
    command.args(["pack-objects", "--quiet", "objects/pack/pack"]).stdin(input);
    assert!(command.status().is_ok_and(|status| status.success()));
    fixture.run(mirror.dir(), ["prune-packed", "--quiet"]);
    object
}

#[tokio::test]
async fn many_packs_become_few_and_keep_every_object() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    assert_eq!(mirror.combine_packs().await.unwrap(), None, "few packs stay");
    let unreachable: Vec<String> = (0..30).map(|number| add_pack(&fixture, &mirror, number)).collect();
    let before = count(&mirror, "pack");
    let temporary = mirror.objects().join("pack/tmp_pack_killed");
    let running = mirror.objects().join("pack/tmp_pack_running");
    for path in [&temporary, &running] {
        std::fs::write(path, "1").unwrap();
    }
    age(&temporary);

    let lock = mirror.dir().with_extension("lock");
    let held = std::fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    assert_eq!(mirror.combine_packs().await.unwrap(), None, "another process uses the mirror");
    drop(held);

    let (from, to) = mirror.combine_packs().await.unwrap().unwrap();
    assert!(from == before && to < 5 && count(&mirror, "pack") == to, "{from} {to}");
    for object in &unreachable {
        // The worktree borrows them.
        fixture.run(worktree.dir(), ["cat-file", "-e", object]);
    }
    fixture.run(mirror.dir(), ["fsck", "--connectivity-only"]);
    assert!(!temporary.exists() && running.exists());
}

/// The files of a killed git are removed also from a mirror with few packs, unless it is in use.
#[tokio::test]
async fn temporary_files_of_a_killed_git_are_removed() {
    let fixture = Fixture::new().await;
    let (mirror, _, _) = fixture.ready().await;
    let loose = mirror.objects().join("17");
    std::fs::create_dir_all(&loose).unwrap();
    let (old, running) =
        ([loose.join("tmp_obj_killed"), mirror.objects().join("pack/tmp_pack_killed")], loose.join("tmp_obj_x"));
    for path in old.iter().chain([&running]) {
        std::fs::write(path, "1").unwrap();
    }
    old.iter().for_each(|path| age(path));
    let held = std::fs::File::create(mirror.dir().with_extension("lock")).unwrap();
    held.lock().unwrap();
    mirror.combine_packs().await.unwrap();
    assert!(old.iter().all(|path| path.exists()), "another process uses the mirror");
    drop(held);
    assert_eq!(mirror.combine_packs().await.unwrap(), None, "few packs stay");
    assert!(!old.iter().any(|path| path.exists()) && running.exists());
}

fn age(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(48)).unwrap();
}
