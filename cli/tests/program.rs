//! The program as a script sees it: arguments and input in; output, messages and exit code out.

#[path = "program/backups.rs"]
mod backups;
#[path = "program/bad_input.rs"]
mod bad_input;
#[path = "program/bad_stores.rs"]
mod bad_stores;
#[path = "program/damage.rs"]
mod damage;
#[path = "program/demo.rs"]
mod demo;
#[path = "program/documents.rs"]
mod documents;
#[path = "program/encryption.rs"]
mod encryption;
#[path = "program/export.rs"]
mod export;
#[path = "program/import.rs"]
mod import;
#[path = "program/indexes.rs"]
mod indexes;
#[path = "program/past.rs"]
mod past;
#[path = "program/queries.rs"]
mod queries;
#[path = "program/salvage.rs"]
mod salvage;
#[path = "program/shell.rs"]
mod shell;
#[path = "program/store.rs"]
mod store;
#[path = "program/support.rs"]
mod support;
#[path = "program/terminal.rs"]
mod terminal;
#[path = "program/watch.rs"]
mod watch;
