//! Side-by-side benchmarks of the Pillarbox crates against published ones; `docs/benchmarks.md` says what they mean.

mod allocation;
mod auth;
mod auth_peer;
mod cache;
mod imap;
mod measure;
mod memory;
mod mime;
mod report;
mod sample;
mod smtp;
mod sorting;
mod spool;
mod stores;
mod watching;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::{Case, Effort, measure};
use report::Row;

#[global_allocator]
static ALLOCATOR: allocation::Counting = allocation::Counting;

const USAGE: &str = "\
pillarbox-bench [--quick] [--json] [--dir DIR] [SECTION...]
    measures the sections (1 to 11; none: all) and prints a table
    --quick  fewer and shorter samples
    --json   JSON instead of a table
    --dir    where the Maildirs of sections 7 and 11 and the queue of section 10 are made (none: the temporary folder)
pillarbox-bench --list
    lists the cases that `--repeat` knows, as number, section, name, peer
pillarbox-bench --repeat CASE ours|peer TIMES
    does the work of one case and prints nothing, for tools that count instructions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--list"] => {
            list();
            Some(())
        }
        ["--repeat", case, side, times] => repeat(case, side, times),
        _ => run(&arguments),
    };
    match done {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn cases() -> Vec<Case> {
    [smtp::cases(), imap::cases(), mime::cases(), auth::cases()].into_iter().flatten().collect()
}

fn list() {
    for (number, case) in cases().iter().enumerate() {
        let peer = case.peer.as_ref().map_or("", |(name, _)| name);
        println!("{number}\t{}\t{}\t{peer}", case.section, case.name);
    }
}

fn repeat(case: &str, side: &str, times: &str) -> Option<()> {
    let case = cases().into_iter().nth(case.parse().ok()?)?;
    let mut work = match side {
        "ours" => case.ours,
        "peer" => case.peer?.1,
        _ => return None,
    };
    for _ in 0..times.parse::<u64>().ok()? {
        work();
    }
    Some(())
}

fn run(arguments: &[&str]) -> Option<()> {
    let (mut quick, mut json, mut dir, mut sections) = (false, false, std::env::temp_dir(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--quick" => quick = true,
            "--json" => json = true,
            "--dir" => dir = PathBuf::from(arguments.next()?),
            section => sections.push(section.parse::<u8>().ok().filter(|section| (1..=11).contains(section))?),
        }
    }
    let wanted = |section: u8| sections.is_empty() || sections.contains(&section);
    let effort = if quick { Effort::QUICK } else { Effort::FULL };

    let mut rows: Vec<Row> = Vec::new();
    // First, while the heap is as it was.
    if wanted(4) {
        rows.extend(memory::rows());
    }
    for case in cases().into_iter().filter(|case| wanted(case.section)) {
        eprintln!("{} {}", case.section, case.name);
        rows.push(measure(case, effort));
    }
    if wanted(2) {
        eprintln!("2 octet by octet");
        rows.extend(smtp::drips(effort.rounds.min(9)));
    }
    if wanted(7) {
        eprintln!("7 Maildir in {}", dir.display());
        rows.extend(stores::rows(&dir, quick));
        rows.push(cache::row(&dir, quick));
        rows.extend(sorting::rows(&dir, quick));
    }
    if wanted(10) {
        eprintln!("10 queue in {}", dir.display());
        rows.extend(spool::rows(&dir, quick));
    }
    if wanted(11) {
        eprintln!("11 watching sessions in {}", dir.display());
        rows.extend(watching::rows(&dir, quick));
    }
    rows.sort_by_key(|row| row.section);
    if json {
        let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
        println!("{:#}", serde_json::Value::from(rows));
    } else {
        print!("{}", report::table(&rows));
    }
    Some(())
}
