//! What a crash and a failing disk leave of a store: a named file for each crash point and each fault.
//!
//! All of it runs on the simulated disk, which loses, tears and reorders what was not flushed. Compiled into the crate's own unit
//! tests, because the disk is private. Each failure names the operation, the outcome and the seed that repeat it.

mod backups;
mod chain;
mod checkpoint_hazards;
mod checkpoints;
mod chunks;
mod concurrent_writers;
mod creation;
mod determinism;
mod dropped_futures;
mod encryption;
mod every_operation;
mod faults;
mod flipped_bits;
mod flipped_bytes;
mod foreign_headers;
mod frame_fields;
mod harness;
mod hostile_blocks;
mod hostile_catalog;
mod hostile_frames;
mod hostile_keys;
mod hostile_pages;
mod increments;
mod indexes;
mod key_rotation;
mod killed;
mod missing_segments;
mod past;
mod reopened_after_fault;
mod restores;
mod retained_log;
mod rotation_and_backups;
mod salvaging;
mod sealed;
mod shared_chain;
mod stale_frames;
mod stray_files;
mod tampered_log;
mod three_crashes;
mod verifying;
mod verifying_open;
mod waiters;
mod wrong_indexes;
