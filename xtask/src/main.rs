//! Developer tasks: `cargo xtask <task>`.

mod bench;
mod conformance;
mod images;
mod oracle;
mod place;
mod schema;
mod test;
mod tidy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The tasks of this workspace.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures the figures that the issues promise, and prints them beside what must be.
    Bench(bench::Args),
    /// Runs a given e2e.test against a fresh cluster and writes the table of results into COMPAT.md.
    Conformance(conformance::Args),
    /// Composes the images of the demo into target/images, without a container engine.
    Images(images::Args),
    /// Sends the same requests to a given kube-apiserver and to Timonel, and prints what differs.
    Oracle(oracle::Args),
    /// Runs every test and says what was skipped, by name and reason.
    Test(test::Args),
    /// Checks the rules of the house.
    Tidy,
    /// Regenerates crates/schema/data from the fact tables in a directory.
    Schema {
        /// Directory that holds types.json, resources.json and their siblings.
        #[arg(long)]
        from: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Bench(args) => bench::run(&args),
        Task::Conformance(args) => conformance::run(&args),
        Task::Images(args) => images::run(&args),
        Task::Oracle(args) => oracle::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Tidy => tidy::run(),
        Task::Schema { from } => schema::run(&from, &PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/schema/data"))),
    }
}
