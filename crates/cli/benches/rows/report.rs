//! The page of results.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Rows in order.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
}

impl Report {
    /// Adds a row: the measurement, its value, the reference and the ratio of both.
    pub(crate) fn row(&mut self, name: &str, value: String, reference: String, ratio: Option<f64>) {
        let ratio = ratio.map_or_else(
            || "-".to_owned(),
            |ratio| if ratio < 1.0 { format!("{ratio:.2}") } else { format!("{ratio:.1}") },
        );
        println!("{name}: {value} (reference: {reference}; ratio {ratio})");
        self.rows.push([name.to_owned(), value, reference, ratio]);
    }

    pub(crate) fn write(&self) {
        let mut text = String::from(
            "# Benchmarks\n\nWritten by `cargo xtask bench` from a release build. Times are medians. Each value has a reference, \
             most of them measured in the same run; compare the ratios between machines.\n\n",
        );
        writeln!(text, "Machine: {}.\n", machine()).unwrap();
        text.push_str("| measurement | kugetsu | reference | ratio |\n|---|---|---|---|\n");
        for [name, value, reference, ratio] in &self.rows {
            writeln!(text, "| {name} | {value} | {reference} | {ratio} |").unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
        std::fs::write(&path, text).unwrap();
        println!("written to docs/benchmarks.md");
    }
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / (1 << 20);
    format!("{} {}, {cores} cores, {memory} GiB", std::env::consts::OS, std::env::consts::ARCH)
}
