//! Reading values back from keys.

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, RawDocument, Regex, Timestamp};

use super::{Direction, END, ESCAPED, Rank, number};
use crate::document::DocumentError;
use crate::document::codec::Limits;
use crate::document::raw::{begin_document, begin_element, end_document, push_string};

/// Reads one value from the front of `key` and moves `key` behind it.
///
/// The value compares equal to the one that was encoded; the [module](super) says what is not kept. `key` is left
/// as it was after an error.
///
/// # Errors
///
/// [`DocumentError::MalformedBson`] with the offset into `key`, [`DocumentError::NotUtf8`], and
/// [`DocumentError::TooDeep`] if containers are nested deeper than any document may be.
pub fn decode(key: &mut &[u8], direction: Direction) -> Result<Bson, DocumentError> {
    let mask = if direction == Direction::Descending { 0xff } else { 0 };
    let mut reader = Reader { key, position: 0, mask };
    let rank = reader.rank()?;
    let value = reader.body(rank, 1)?;
    let position = reader.position;
    *key = &key[position..];
    Ok(value)
}

/// How many bytes the value at the front of a key takes; none if it is no value.
pub(crate) fn encoded_bytes(key: &[u8], direction: Direction) -> Option<usize> {
    let mask = if direction == Direction::Descending { 0xff } else { 0 };
    let byte = |at: usize| key.get(at).map(|byte| byte ^ mask);
    let bytes = match Rank::from_byte(byte(0)?)? {
        Rank::MinKey | Rank::Undefined | Rank::Null | Rank::MaxKey => 1,
        Rank::Boolean => 2,
        Rank::Date | Rank::Timestamp => 9,
        Rank::ObjectId => 13,
        Rank::Number if byte(number::FLOOR_END)? == number::EXACT => number::FLOOR_END + 1,
        Rank::Text => {
            let mut at = 1;
            while (byte(at)?, byte(at + 1)?) != (0, 0) {
                at += if byte(at)? == 0 { 2 } else { 1 };
            }
            at + 2
        }
        _ => {
            let mut rest = key;
            decode(&mut rest, direction).ok()?;
            key.len() - rest.len()
        }
    };
    (key.len() >= bytes).then_some(bytes)
}

/// A cursor over a key, which undoes the inversion of descending fields.
pub(super) struct Reader<'k, 'a> {
    key: &'k &'a [u8],
    position: usize,
    mask: u8,
}

impl Reader<'_, '_> {
    pub(super) fn fail<T>(&self, reason: &str) -> Result<T, DocumentError> {
        Err(DocumentError::bson(self.position, format!("not a key: {reason}")))
    }

    pub(super) fn byte(&mut self) -> Result<u8, DocumentError> {
        let Some(&byte) = self.key.get(self.position) else { return self.fail("it ends early") };
        self.position += 1;
        Ok(byte ^ self.mask)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DocumentError> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as many bytes as asked for"))
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, DocumentError> {
        let Some(bytes) = self.key[self.position..].get(..length) else { return self.fail("it ends early") };
        self.position += length;
        Ok(bytes.iter().map(|byte| byte ^ self.mask).collect())
    }

    fn length(&mut self) -> Result<usize, DocumentError> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }

    fn rank(&mut self) -> Result<Rank, DocumentError> {
        let byte = self.byte()?;
        self.known_rank(byte)
    }

    fn known_rank(&self, byte: u8) -> Result<Rank, DocumentError> {
        match Rank::from_byte(byte) {
            Some(rank) => Ok(rank),
            None => self.fail("unknown rank"),
        }
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String, DocumentError> {
        String::from_utf8(bytes).map_err(|_| DocumentError::NotUtf8 { offset: self.position })
    }

    fn text(&mut self) -> Result<String, DocumentError> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                0 => match self.byte()? {
                    0 => return self.utf8(bytes),
                    ESCAPED => bytes.push(0),
                    _ => return self.fail("unknown escape in text"),
                },
                byte => bytes.push(byte),
            }
        }
    }

    fn name(&mut self) -> Result<String, DocumentError> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                0 => return self.utf8(bytes),
                byte => bytes.push(byte),
            }
        }
    }

    fn body(&mut self, rank: Rank, depth: usize) -> Result<Bson, DocumentError> {
        Ok(match rank {
            Rank::MinKey => Bson::MinKey,
            Rank::Undefined => Bson::Undefined,
            Rank::Null => Bson::Null,
            Rank::MaxKey => Bson::MaxKey,
            Rank::Number => number::decode(self)?,
            Rank::Text => Bson::String(self.text()?),
            Rank::Object => Bson::Document(self.object(depth)?),
            Rank::Array => Bson::Array(self.elements(depth)?),
            Rank::Binary => {
                let length = self.length()?;
                Bson::Binary(Binary { subtype: self.byte()?.into(), bytes: self.bytes(length)? })
            }
            Rank::ObjectId => Bson::ObjectId(ObjectId::from_bytes(self.array()?)),
            Rank::Boolean => Bson::Boolean(self.byte()? != 0),
            Rank::Date => {
                Bson::DateTime(DateTime::from_millis((u64::from_be_bytes(self.array()?) ^ (1 << 63)) as i64))
            }
            Rank::Timestamp => Bson::Timestamp(Timestamp {
                time: u32::from_be_bytes(self.array()?),
                increment: u32::from_be_bytes(self.array()?),
            }),
            Rank::Regex => Bson::RegularExpression(self.regex()?),
            Rank::DbPointer => self.db_pointer()?,
            Rank::Code => Bson::JavaScriptCode(self.text()?),
            Rank::CodeWithScope => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                code: self.text()?,
                scope: self.object(depth)?,
            }),
        })
    }

    fn check_depth(&self, depth: usize) -> Result<(), DocumentError> {
        if depth > Limits::DEPTH_CEILING {
            return Err(DocumentError::TooDeep { limit: Limits::DEPTH_CEILING });
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Document, DocumentError> {
        self.check_depth(depth)?;
        let mut document = Document::new();
        loop {
            match self.byte()? {
                END => return Ok(document),
                byte => {
                    let rank = self.known_rank(byte)?;
                    let name = self.name()?;
                    let value = self.body(rank, depth + 1)?;
                    document.insert(name, value);
                }
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Bson>, DocumentError> {
        self.check_depth(depth)?;
        let mut elements = Vec::new();
        loop {
            match self.byte()? {
                END => return Ok(elements),
                byte => {
                    let rank = self.known_rank(byte)?;
                    elements.push(self.body(rank, depth + 1)?);
                }
            }
        }
    }

    fn regex(&mut self) -> Result<Regex, DocumentError> {
        let (pattern, options) = (self.name()?, self.name()?);
        match (pattern.try_into(), options.try_into()) {
            (Ok(pattern), Ok(options)) => Ok(Regex { pattern, options }),
            _ => self.fail("a regular expression with a NUL"),
        }
    }

    /// The `bson` crate makes no DBPointer but from BSON bytes.
    fn db_pointer(&mut self) -> Result<Bson, DocumentError> {
        let length = self.length()?;
        let namespace = self.bytes(length)?;
        let namespace = self.utf8(namespace)?;
        let id: [u8; 12] = self.array()?;
        let mut bytes = Vec::new();
        let start = begin_document(&mut bytes);
        begin_element(&mut bytes, 0x0c, "");
        push_string(&mut bytes, &namespace);
        bytes.extend_from_slice(&id);
        end_document(&mut bytes, start);
        let held = RawDocument::from_bytes(&bytes).and_then(|document| document.get(""));
        match held.map(|value| value.map(Bson::try_from)) {
            Ok(Some(Ok(value))) => Ok(value),
            _ => self.fail("a DBPointer that BSON refuses"),
        }
    }
}
