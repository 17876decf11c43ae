//! Ids as arguments.

use crate::args::{IdType, IdTypeArg};
use crate::error::CliError;
use skipstone::document::DocumentId;
use uuid::Uuid;

/// The length of a UUID as it is usually written, with its hyphens.
const UUID_CHARS: usize = 36;

/// Reads an id from an argument. Without a type it is an integer or a UUID if it is written as one, else a string.
pub(crate) fn parse(text: &str, kind: Option<IdType>) -> Result<DocumentId, CliError> {
    let refused = |what| CliError::Id { text: text.to_owned(), what };
    match kind {
        None => Ok(guess(text)),
        Some(IdType::String) => Ok(DocumentId::from(text)),
        Some(IdType::Int) => {
            text.parse::<i64>().map(DocumentId::from).map_err(|_| refused("a 64-bit integer"))
        }
        Some(IdType::Uuid) => Uuid::parse_str(text).map(DocumentId::from).map_err(|_| refused("a UUID")),
        Some(IdType::Bytes) => {
            let bytes = bytes_from_hex(text.strip_prefix("0x").unwrap_or(text));
            bytes.map(DocumentId::from).ok_or_else(|| refused("bytes in hexadecimal"))
        }
    }
}

/// What an id would be written like: `007` and `+1` are no integers, for an integer would not come out like that.
fn guess(text: &str) -> DocumentId {
    if let Ok(integer) = text.parse::<i64>()
        && integer.to_string() == text
    {
        return DocumentId::from(integer);
    }
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == UUID_CHARS => DocumentId::from(uuid),
        _ => DocumentId::from(text),
    }
}

fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// There is no document with an id that was read by [`parse`].
pub(crate) fn no_document(collection: &str, id: &DocumentId, kind: &IdTypeArg) -> CliError {
    let (kind, hint) = match (id, kind.id_type) {
        (DocumentId::Int(_), None) => ("integer", "; `--id-type string` looks for text"),
        (DocumentId::Uuid(_), None) => ("UUID", "; `--id-type string` looks for text"),
        (DocumentId::Int(_), _) => ("integer", ""),
        (DocumentId::Uuid(_), _) => ("UUID", ""),
        (DocumentId::String(_), _) => ("string", ""),
        (DocumentId::Bytes(_), _) => ("bytes", ""),
    };
    CliError::NoDocument { collection: collection.to_owned(), kind, id: id.to_string(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

    #[test]
    fn a_plain_argument_is_what_it_looks_like() {
        for (text, id) in [
            ("17", DocumentId::Int(17)),
            ("-5", DocumentId::Int(-5)),
            ("9223372036854775807", DocumentId::Int(i64::MAX)),
            (UUID, DocumentId::Uuid(Uuid::parse_str(UUID).unwrap())),
        ] {
            assert_eq!(parse(text, None).unwrap(), id);
        }
        let simple = UUID.replace('-', "");
        for text in ["", "abc", "007", "+1", "-0", "1.5", "9223372036854775808", "0xff", &simple] {
            assert_eq!(parse(text, None).unwrap(), DocumentId::from(text), "{text}");
        }
    }

    #[test]
    fn a_type_forces() {
        assert_eq!(parse("17", Some(IdType::String)).unwrap(), DocumentId::from("17"));
        assert_eq!(parse("007", Some(IdType::Int)).unwrap(), DocumentId::Int(7));
        assert_eq!(parse("0x00fF", Some(IdType::Bytes)).unwrap(), DocumentId::Bytes(vec![0, 255]));
        assert_eq!(parse("", Some(IdType::Bytes)).unwrap(), DocumentId::Bytes(vec![]));
        let simple = UUID.replace('-', "");
        assert_eq!(parse(&simple, Some(IdType::Uuid)).unwrap(), parse(UUID, None).unwrap());
    }

    #[test]
    fn what_does_not_fit_the_type_is_refused() {
        for (text, kind) in [
            ("x", IdType::Int),
            ("9223372036854775808", IdType::Int),
            ("17", IdType::Uuid),
            ("abc", IdType::Bytes),
            ("zz", IdType::Bytes),
            ("ä", IdType::Bytes),
        ] {
            let error = parse(text, Some(kind)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
