//! The simulated disk as a device: each of its calls made of raw operations.

use super::faults::{Fault, Operation};
use super::platter::Platter;
use super::{Course, Shared, SimulatedDisk};
use crate::io::raw::{self, RawFile};
use crate::io::{BlockFile, Device, IoError, IoOperation, request};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl SimulatedDisk {
    /// The number of the file of that name.
    fn find(&self, operation: IoOperation, name: &str) -> Result<usize, IoError> {
        request::check_name(operation, name)?;
        let found = self.shared.lock().platter.names().get(name).copied();
        found.ok_or_else(|| IoError::new(operation, Path::new(name), io::ErrorKind::NotFound.into()))
    }

    /// Makes a file of `bytes`, has `fill` write what it is to begin with, then names it.
    fn make(
        &self,
        name: &str,
        bytes: u64,
        fill: impl FnOnce(&SimulatedFile) -> Result<(), IoError>,
    ) -> Result<Box<dyn BlockFile>, IoError> {
        let path = PathBuf::from(name);
        request::check_new_len(&path, bytes)?;
        match self.find(IoOperation::Create, name) {
            Ok(_) => {
                return Err(IoError::new(IoOperation::Create, &path, io::ErrorKind::AlreadyExists.into()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let number = self.shared.lock().platter.add_file(bytes as usize);
        let file = SimulatedFile { shared: Arc::clone(&self.shared), number, path };
        let made = fill(&file).and_then(|()| {
            self.change_names((IoOperation::Create, name), Operation::Link, |platter| {
                must_be_free(platter, name)?;
                platter.link(name, number);
                Ok(())
            })
        });
        match made {
            Ok(()) => Ok(Box::new(file)),
            Err(error) => {
                self.shared.lock().platter.release_unnamed(number);
                Err(error)
            }
        }
    }

    /// Changes the names, then flushes them. `change` says why it cannot be done, before it does anything.
    fn change_names(
        &self,
        (operation, name): (IoOperation, &str),
        raw: Operation,
        change: impl FnOnce(&mut Platter) -> Result<(), io::ErrorKind>,
    ) -> Result<(), IoError> {
        let failed = |error| IoError::new(operation, Path::new(name), error);
        self.shared
            .run(raw, |state, course| match course {
                Course::Fail(_, error) => Err(error),
                Course::Succeed => Ok(change(&mut state.platter)?),
                Course::Crash(error) => {
                    change(&mut state.platter)?;
                    Err(error)
                }
            })
            .map_err(failed)?;
        self.shared.flush_names().map_err(|error| IoError::new(IoOperation::Flush, Path::new(name), error))
    }
}

impl Device for SimulatedDisk {
    fn list(&self) -> Result<Vec<String>, IoError> {
        Ok(self.shared.lock().platter.names().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Box<dyn BlockFile>, IoError> {
        let number = self.find(IoOperation::Open, name)?;
        Ok(Box::new(SimulatedFile { shared: Arc::clone(&self.shared), number, path: PathBuf::from(name) }))
    }

    fn create_zeroed(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        self.make(name, bytes, |file| raw::zero_fill(file, &file.path, bytes))
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Box<dyn BlockFile>, IoError> {
        self.make(name, bytes, |_| Ok(()))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), IoError> {
        request::check_name(IoOperation::Rename, to)?;
        self.find(IoOperation::Rename, from)?;
        self.change_names((IoOperation::Rename, from), Operation::Rename, |platter| {
            must_exist(platter, from)?;
            must_be_free(platter, to)?;
            platter.rename(from, to);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> Result<(), IoError> {
        self.find(IoOperation::Remove, name)?;
        self.change_names((IoOperation::Remove, name), Operation::Unlink, |platter| {
            must_exist(platter, name)?;
            platter.unlink(name);
            Ok(())
        })
    }

    fn flush_names(&self) -> Result<(), IoError> {
        self.shared.flush_names().map_err(|error| IoError::new(IoOperation::Flush, Path::new("."), error))
    }

    fn name(&self) -> &'static str {
        "simulated"
    }
}

fn must_exist(platter: &Platter, name: &str) -> Result<(), io::ErrorKind> {
    if platter.names().contains_key(name) { Ok(()) } else { Err(io::ErrorKind::NotFound) }
}

fn must_be_free(platter: &Platter, name: &str) -> Result<(), io::ErrorKind> {
    if platter.names().contains_key(name) { Err(io::ErrorKind::AlreadyExists) } else { Ok(()) }
}

struct SimulatedFile {
    shared: Arc<Shared>,
    number: usize,
    path: PathBuf,
}

impl BlockFile for SimulatedFile {
    fn len(&self) -> u64 {
        self.shared.lock().platter.len(self.number) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        request::check_read(&self.path, self.len(), offset, buf)?;
        self.shared
            .run(Operation::Read, |state, course| match course {
                Course::Fail(_, error) | Course::Crash(error) => Err(error),
                Course::Succeed => {
                    state.platter.read(self.number, offset as usize, buf);
                    Ok(())
                }
            })
            .map_err(|error| IoError::at(IoOperation::Read, &self.path, offset, error))
    }

    fn write_durable(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        let len = request::check_write(&self.path, self.len(), offset, parts)?;
        let range = offset as usize..offset as usize + len;
        raw::write_then_flush(&DurableWrite { file: self, range }, &self.path, offset, parts)
    }

    fn write(&self, offset: u64, parts: &[&[u8]]) -> Result<(), IoError> {
        request::check_write(&self.path, self.len(), offset, parts)?;
        raw::write_all(self, &self.path, offset, parts)
    }

    fn zero_fill(&self) -> Result<(), IoError> {
        raw::zero_fill(self, &self.path, self.len())
    }

    fn discard(&self, offset: u64, bytes: u64) -> Result<(), IoError> {
        request::check_discard(&self.path, self.len(), offset, bytes)?;
        self.shared
            .run(Operation::Discard, |state, course| {
                state.platter.discard(self.number, offset as usize, bytes as usize);
                match course {
                    Course::Fail(_, error) | Course::Crash(error) => Err(error),
                    Course::Succeed => Ok(()),
                }
            })
            .map_err(|error| IoError::at(IoOperation::Discard, &self.path, offset, error))
    }

    fn flush(&self) -> Result<(), IoError> {
        raw::flush(self, &self.path)
    }
}

impl RawFile for SimulatedFile {
    fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes = parts.iter().map(|part| &**part).collect::<Vec<&[u8]>>().concat();
        let offset = offset as usize;
        self.shared.run(Operation::Write, |state, course| {
            let room = state.platter.room_for(self.number, offset, bytes.len(), state.capacity_bytes);
            let (taken, result) = match course {
                Course::Crash(error) => (room, Err(error)),
                Course::Succeed if room == 0 => (0, Err(io::ErrorKind::StorageFull.into())),
                Course::Succeed => (room, Ok(room)),
                Course::Fail(Fault::ShortWrite, _) if room > 0 => {
                    let short = state.random.usize(1..room.max(2));
                    (short, Ok(short))
                }
                Course::Fail(Fault::WriteEio, error) => (state.random.usize(0..=room), Err(error)),
                Course::Fail(_, error) => (0, Err(error)),
            };
            state.platter.write(self.number, offset, &bytes[..taken]);
            result
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.shared.flush_file(self.number, &(0..self.len() as usize))
    }
}

/// A file as a durable write sees it: its flush covers nothing else.
struct DurableWrite<'a> {
    file: &'a SimulatedFile,
    /// In bytes.
    range: Range<usize>,
}

impl RawFile for DurableWrite<'_> {
    fn write_some(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_some(parts, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.shared.flush_file(self.file.number, &self.range)
    }
}
