//! What a repair did to a log, written into that log.

use super::offline::append_in;
use crate::errors::Failure;
use crate::home::Service;
use recovery::fact::{JournalMended, LogMended};
use recovery::{bank, gateway};
use std::path::{Path, PathBuf};
use wal::Options;
use wal::mend::Patch;

/// Appends a fact a patch to the log of `service` in `directory`, which must be stopped. `kept` are
/// the damaged files, each named as its segment and more.
pub fn record(
    directory: &Path,
    service: Service,
    options: Options,
    patches: &[Patch],
    kept: &[PathBuf],
) -> Result<(), Failure> {
    let name = |path: &Path| -> String {
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    let kept_of = |patch: &Patch| {
        let segment = name(&patch.file);
        let kept = kept.iter().map(|path| name(path)).find(|kept| kept.starts_with(&segment));
        kept.unwrap_or_default()
    };
    let told = service.to_string();
    match service {
        Service::Bank(_) => append_in::<bank::State>(directory, &told, options, |_| {
            let facts = patches.iter().map(|patch| {
                JournalMended {
                    segment: patch.segment,
                    offset: patch.offset,
                    first_lsn: patch.first_lsn.get(),
                    records: patch.records,
                    kept: kept_of(patch),
                }
                .into()
            });
            Ok(facts.collect())
        })
        .map(drop),
        Service::Gateway | Service::Console => {
            append_in::<gateway::State>(directory, &told, options, |_| {
                let facts = patches.iter().map(|patch| {
                    LogMended {
                        segment: patch.segment,
                        offset: patch.offset,
                        first_lsn: patch.first_lsn.get(),
                        records: patch.records,
                        kept: kept_of(patch),
                    }
                    .into()
                });
                Ok(facts.collect())
            })
            .map(drop)
        }
    }
}
