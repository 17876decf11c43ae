//! The shell and the progress of commands, at a terminal.

use crate::support::Place;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// A terminal with a program in front of it.
struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown and not looked at yet.
    shown: String,
    program: Child,
}

impl Terminal {
    fn start(mut command: Command) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let path = std::ffi::OsStr::from_bytes(name.as_bytes());
        let theirs = || Stdio::from(File::options().read(true).write(true).open(path).unwrap());
        let program =
            command.env("TERM", "xterm").stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn().unwrap();
        drop(command);
        let keyboard = File::from(ours);
        let mut screen_end = keyboard.try_clone().unwrap();
        let (send, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is the end: nobody has the terminal open any more.
            while let Ok(read @ 1..) = screen_end.read(&mut bytes) {
                if send.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { keyboard, screen, shown: String::new(), program }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this is shown, and forgets all up to it.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} is not in {:?}", self.shown),
            }
        }
    }

    fn ends(mut self) -> Option<i32> {
        self.program.wait().unwrap().code()
    }
}

#[test]
fn the_shell_completes_goes_on_over_lines_and_remembers() {
    let place =
        Place::with_documents("{\"_id\":1,\"people\":3}\n{\"_id\":2,\"people\":9,\"name\":\"Nairobi\"}\n");
    place.run(&["index", "create", "s", "c", "people"]).expect(0);
    let mut shell = Terminal::start(place.command(&["shell", "s", "--history", "lines"]));
    shell.shows("skipstone> ");
    // The tab key completes a command, and a field that is indexed.
    shell.types("cou\tc\r");
    shell.shows("2 documents in `c`");
    shell.types("find c {\"peo\t\":\r 9}\r");
    shell.shows("people");
    shell.shows("╞");
    shell.shows("Nairobi");
    shell.types("count d\r");
    shell.shows("skipstone: the store `s` has no collection `d`");
    // The line before the last one, once more.
    shell.types("\x1b[A\x1b[A\r");
    shell.shows("╞");
    shell.shows("Nairobi");
    shell.shows("skipstone> ");
    shell.types("\x04");
    assert_eq!(shell.ends(), Some(0));
    let lines = fs::read_to_string(place.path("lines")).unwrap();
    assert!(lines.contains("count c\n") && lines.contains("count d\n"), "{lines:?}");
    assert!(lines.contains("find c {\"people\":"), "{lines:?}");

    let mut again = Terminal::start(place.command(&["shell", "s", "--history", "lines"]));
    again.shows("skipstone> ");
    again.types("\x1b[A\r");
    again.shows("Nairobi");
    again.types("exit\r");
    assert_eq!(again.ends(), Some(0));
}

#[test]
fn a_build_shows_how_far_it_is() {
    let lines: String = (0..50_000).map(|n| format!("{{\"_id\":{n},\"a\":{n}}}\n")).collect();
    let place = Place::with_documents(&lines);
    let mut create = Terminal::start(place.command(&["index", "create", "s", "c", "a"]));
    create.shows("of 50,000 documents");
    create.shows("index `a` of `c` created: 50,000 documents in ");
    assert_eq!(create.ends(), Some(0));
}
