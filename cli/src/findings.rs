//! What is wrong with a store, for people and for programs.

use serde_json::{Value, json};
use skipstone::document::DocumentId;
use skipstone::{Finding, Lost};
use std::fmt::Write;

/// A line each, and one for those that are not listed.
pub(crate) fn for_people(findings: &[Finding], more: u64) -> String {
    let mut lines = String::new();
    for finding in findings {
        let _ = write!(lines, "\n  {finding}");
    }
    if more > 0 {
        let _ = write!(lines, "\n  and {more} more");
    }
    lines
}

pub(crate) fn for_programs(findings: &[Finding]) -> Value {
    findings.iter().map(finding).collect()
}

fn finding(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind.name(),
        "file": finding.file,
        "offset": finding.offset,
        "what": finding.what,
        "lost": lost(&finding.lost),
    })
}

fn lost(lost: &Lost) -> Value {
    match lost {
        Lost::Nothing => Value::Null,
        Lost::Checkpoint => json!({ "checkpoint": true }),
        Lost::Positions { from, to, .. } => {
            json!({ "from_position": from.get(), "to_position": to.map(|to| to.get()) })
        }
        Lost::Keys { keyspace, is_collection, low, high, .. } => {
            let key = |bytes: &[u8]| key(bytes, *is_collection);
            let name = if *is_collection { "collection" } else { "keyspace" };
            let from = (!low.is_empty()).then(|| key(low));
            json!({ name: keyspace, "from": from, "to": high.as_deref().map(key) })
        }
        other => Value::String(other.to_string()),
    }
}

/// The id of a document if the key is one, else the key's bytes in hexadecimal.
pub(crate) fn key(key: &[u8], is_collection: bool) -> Value {
    match DocumentId::from_key(key) {
        Ok(id) if is_collection => json!({ "id": id }),
        _ => {
            let mut hex = String::new();
            for byte in key {
                let _ = write!(hex, "{byte:02x}");
            }
            json!({ "bytes": hex })
        }
    }
}
