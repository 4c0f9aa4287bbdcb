//! The page of results.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Rows in order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    rows: Vec<[String; 4]>,
}

impl Page {
    /// A row: what was measured, the number, what stands beside it, and the ratio of both.
    pub(crate) fn row(&mut self, what: &str, number: String, beside: String, ratio: Option<f64>) {
        let ratio = ratio.map_or_else(
            || "-".to_owned(),
            |ratio| if ratio < 1.0 { format!("{ratio:.2}") } else { format!("{ratio:.1}") },
        );
        println!("{what}: {number} (beside: {beside}; ratio {ratio})");
        self.rows.push([what.to_owned(), number, beside, ratio]);
    }

    pub(crate) fn write(&self) {
        let mut text = String::from(
            "# Benchmarks\n\nWritten by `cargo xtask bench` (release build). Medians; each number stands beside a floor or another program \
             measured in the same run, and the ratio is what to compare between machines.\n\n",
        );
        writeln!(text, "Machine: {}.\n", machine()).unwrap();
        text.push_str("| what | kugetsu | beside it | ratio |\n|---|---|---|---|\n");
        for [what, number, beside, ratio] in &self.rows {
            writeln!(text, "| {what} | {number} | {beside} | {ratio} |").unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
        std::fs::write(&path, text).unwrap();
        println!("written to docs/benchmarks.md");
    }
}

/// Milliseconds with what can be told apart.
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / (1 << 20);
    format!("{} {}, {cores} cores, {memory} GiB", std::env::consts::OS, std::env::consts::ARCH)
}
