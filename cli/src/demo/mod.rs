//! `demo`: a tour on real records, with figures of each step and a check of each claim.
//!
//! | step | module | what is claimed |
//! | --- | --- | --- |
//! | 1 | `load` | what was imported reads back as it was |
//! | 2 | `reads` | each id leads to its document |
//! | 3 | `transfers` | transactions are isolated: the total is the same in every snapshot |
//! | 4 | `crash` | what was acknowledged survives a kill, and no transaction is half there |
//!
//! All steps use one store, and the last one checks again what the others wrote.

mod crash;
mod load;
mod reads;
mod records;
mod report;
mod transfers;

use crate::args::DemoArgs;
use crate::error::CliError;
use crate::output::Style;
use report::Report;
use skipstone::Database;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) fn run(args: &DemoArgs, style: Style) -> Result<(), CliError> {
    let place = Place::new(args)?;
    let mut report = Report::new(style);
    let kept = place.kept().map(Path::to_path_buf);
    report.opening(records::ORIGIN, kept.as_deref())?;
    tour(place.path(), &mut report)?;
    report.verdict()
}

fn tour(dir: &Path, report: &mut Report) -> Result<(), CliError> {
    let db = Database::open(dir)?;
    load::run(&db, report)?;
    reads::run(&db, report)?;
    transfers::run(&db, report)?;
    db.close()?;
    crash::run(dir, report)
}

/// The directory of the demo's store.
enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    fn new(args: &DemoArgs) -> Result<Place, CliError> {
        if let Some(dir) = &args.dir {
            let is_free = match fs::read_dir(dir) {
                Ok(mut entries) => entries.next().is_none(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(CliError::file("read", dir, error)),
            };
            return match is_free {
                true => Ok(Place::Kept(dir.clone())),
                false => Err(CliError::DemoDir { dir: dir.clone() }),
            };
        }
        let temporary = tempfile::Builder::new().prefix("skipstone-demo-").tempdir();
        let temporary =
            temporary.map_err(|error| CliError::file("make a directory in", std::env::temp_dir(), error))?;
        Ok(match args.keep {
            true => Place::Kept(temporary.keep()),
            false => Place::Temporary(temporary),
        })
    }

    fn path(&self) -> &Path {
        match self {
            Place::Temporary(dir) => dir.path(),
            Place::Kept(dir) => dir,
        }
    }

    fn kept(&self) -> Option<&Path> {
        match self {
            Place::Temporary(_) => None,
            Place::Kept(dir) => Some(dir),
        }
    }
}
