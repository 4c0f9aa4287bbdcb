//! Records of a run that a full disk has torn: what is whole is still shown.

use std::fs;

use kugetsu_api::record::{Body, Record};
use kugetsu_engine::queries::transcript::transcript;
use kugetsu_engine::runners::report::take_records;

use crate::runner::access;
use crate::world::World;

/// Makes one of the lines end within its text, as a full disk does, and adds bytes that are no text.
fn tear(records: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = records.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let torn = lines[0][..lines[0].len() - 4].to_vec();
    lines.splice(1..1, [torn, b"\xff\x00".to_vec()]);
    lines.join(&b'\n')
}

#[tokio::test]
async fn record_that_cannot_be_read_is_left_out_with_a_notice() {
    let world = World::new(1).await;
    let daemon = world.daemon();
    daemon.start(1, "done").await;
    daemon.settled(1).await;
    let (run, _) = world.machine.started_runs()[0];
    let path = world.home.run(run).records();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, tear(&whole)).unwrap();
    let mut stream = transcript(&daemon.engine, daemon.issue(1).await.id, (None, None), false);
    let mut text = Vec::new();
    while let Some(chunk) = stream.recv().await {
        text.extend(chunk.unwrap());
    }
    let records: Vec<Record> =
        text.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
    let count = whole.iter().filter(|byte| **byte == b'\n').count();
    // One record is the daemon's own.
    assert_eq!(records.len(), 1 + count + 2);
    let notices = records.iter().filter(
        |record| matches!(&record.body, Body::Notice { text } if text.contains("cannot be read and is left out")),
    );
    assert_eq!(notices.count(), 2);
    assert!(records.iter().any(|record| matches!(record.body, Body::Ended { .. })), "what follows is shown");
    // It is no fact either, and what follows it counts.
    let access = access(&daemon.engine, run, &world.machine.key(run)).await.unwrap();
    let taken = take_records(&daemon.engine, &access, 0, &tear(&whole)).await.unwrap();
    assert_eq!(taken.offset, tear(&whole).len() as u64);
    daemon.kill().await;
}
