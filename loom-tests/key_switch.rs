//! The log goes on with another data key: every position behind the switch is sealed with the new key, whoever reserved it.

use super::*;
use crate::crypt::{Generation, Keyring};
use crate::log::frame::{HEADER_BYTES, Header, Kind, SessionNumber, frame_bytes};
use crate::log::seal::{Salt, Sealer, open};
use loom::thread;

const SALT: Salt = Salt([7; 16]);
const FRAME_BYTES: u64 = frame_bytes(16);

struct Sealed {
    keys: Arc<Keyring>,
    sealer: Sealer,
    end: LogEnd,
}

impl Sealed {
    /// What a committer does: a position first, then the key. Returns the position, and the key's generation, which opens the frame.
    fn commit(&self) -> (Lsn, u8) {
        let lsn = self.end.reserve(FRAME_BYTES);
        let header = Header {
            kind: Kind::Commit,
            generation: None,
            session: SessionNumber(1),
            lsn,
            bytes: FRAME_BYTES as u32,
            durable: Lsn::ZERO,
            payload_bytes: 0,
        };
        let mut payload = Vec::new();
        let bytes: [u8; HEADER_BYTES] = self.sealer.seal(header, &mut payload);
        let mut header = Header::decode(&bytes, lsn).expect("a header");
        open(&self.keys, SALT, &mut header, &mut payload).expect("sealed with the key that it names");
        (lsn, bytes[5])
    }
}

#[test]
fn whoever_comes_behind_the_switch_seals_with_the_new_key() {
    explore("key switch", || {
        let [old, new] = [1, 2].map(|generation| Generation::new(generation).expect("not zero"));
        let keys = Arc::new(Keyring::of([old, new]));
        let sealer = Sealer::new(Arc::clone(&keys), SALT);
        let sealed = Arc::new(Sealed { keys, sealer, end: LogEnd::new(Lsn::new(8)) });
        let committers = [(); 2].map(|()| {
            let sealed = Arc::clone(&sealed);
            thread::spawn(move || [sealed.commit(), sealed.commit()])
        });
        let from = sealed.sealer.switch_to(new, &sealed.end, FRAME_BYTES);
        for (lsn, generation) in committers.into_iter().flat_map(|committer| committer.join().unwrap()) {
            assert!(
                lsn < from || generation == 2,
                "{lsn} is behind {from}, and sealed with key {generation}"
            );
        }
        assert_eq!(sealed.commit().1, 2);
    });
}
