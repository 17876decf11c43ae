//! What comes out of an input, whatever the chunks in which it comes in.

use super::*;
use std::collections::VecDeque;

/// Gives its bytes in pieces of a given size, as a pipe may.
struct Pieces {
    bytes: VecDeque<u8>,
    piece_bytes: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.piece_bytes.min(out.len()).min(self.bytes.len());
        for (to, byte) in out.iter_mut().zip(self.bytes.drain(..length)) {
            *to = byte;
        }
        Ok(length)
    }
}

fn open(bytes: Vec<u8>) -> Input {
    let source = Box::new(io::Cursor::new(bytes));
    Input::new("input".to_owned(), None, source, None, Cells::Typed).unwrap()
}

fn open_in_pieces(
    bytes: &[u8],
    format: Option<InputFormat>,
    piece_bytes: usize,
) -> Result<Input, InputError> {
    let source = Pieces { bytes: bytes.iter().copied().collect(), piece_bytes };
    Input::new("input".to_owned(), None, Box::new(source), format, Cells::Typed)
}

/// Line, column and text of each record, or what is wrong with it.
type Seen = (u64, u64, String);

/// Reads everything, `records_max` at a time.
fn read_all(mut input: Input, records_max: usize) -> Result<Vec<Seen>, InputError> {
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    loop {
        input.fill(&mut batch, records_max)?;
        assert!(batch.len() <= records_max);
        if batch.is_empty() {
            return Ok(seen);
        }
        seen.extend(batch.records().map(|(place, text)| {
            let text = match text {
                Ok(text) => String::from_utf8_lossy(text).into_owned(),
                Err(error) => format!("! {error}"),
            };
            (place.line, place.column, text)
        }));
    }
}

/// The same for every size of pieces and batches.
fn records(bytes: &[u8], format: Option<InputFormat>) -> Result<Vec<Seen>, InputError> {
    let whole = open_in_pieces(bytes, format, usize::MAX).and_then(|input| read_all(input, usize::MAX));
    for (piece_bytes, records_max) in [(1, 1), (1, 100), (2, 3), (3, 2), (7, 1), (4096, 2)] {
        let pieces =
            open_in_pieces(bytes, format, piece_bytes).and_then(|input| read_all(input, records_max));
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "pieces of {piece_bytes}"),
            (Err(whole), Err(pieces)) => assert_eq!(whole.to_string(), pieces.to_string()),
            _ => panic!("{whole:?}, but in pieces of {piece_bytes}: {pieces:?}"),
        }
    }
    whole
}

fn texts(bytes: &[u8], format: Option<InputFormat>) -> Vec<String> {
    records(bytes, format).unwrap().into_iter().map(|(.., text)| text).collect()
}

fn seen(line: u64, column: u64, text: &str) -> Seen {
    (line, column, text.to_owned())
}

fn failure(bytes: &[u8], format: Option<InputFormat>) -> String {
    records(bytes, format).unwrap_err().to_string()
}

#[test]
fn lines_are_records_and_blank_ones_are_not() {
    let input = b"{\"a\":1}\n\n  \t\r\n{\"b\":2}\r\nno json\n{\"c\":\"\xff\"}";
    assert_eq!(
        records(input, None).unwrap(),
        [
            seen(1, 1, "{\"a\":1}"),
            seen(4, 1, "{\"b\":2}\r"),
            seen(5, 1, "no json"),
            seen(6, 1, "{\"c\":\"\u{fffd}\"}"),
        ]
    );
    assert!(records(b"", None).unwrap().is_empty());
    assert!(records(b" \n\n", None).unwrap().is_empty());
    assert_eq!(texts(b"\xef\xbb\xbf{}\n", None), ["{}"], "a byte order mark is no part of the first record");
}

#[test]
fn an_array_is_told_from_lines_and_cut_into_elements() {
    let input = b" [ {\"a\":\"],\\\\\\\"{\"} ,\n  {\"b\":[1,[2,{\"c\":\"}\"}]]},3\n]\n";
    assert_eq!(
        records(input, None).unwrap(),
        [
            seen(1, 4, "{\"a\":\"],\\\\\\\"{\"} "),
            seen(2, 3, "{\"b\":[1,[2,{\"c\":\"}\"}]]}"),
            seen(2, 27, "3\n"),
        ]
    );
    assert!(records(b"[]", None).unwrap().is_empty());
    assert!(records(b"\n [ \n ] \n", None).unwrap().is_empty());
    assert_eq!(texts(b"[{}]", Some(InputFormat::Ndjson)), ["[{}]"], "the format can be forced");
}

#[test]
fn a_bad_element_does_not_hide_those_behind_it() {
    let missing = "! an element is missing: there is a comma too many";
    assert_eq!(texts(b"[{\"a\":1,},{},{\"b\":2]]", None), ["{\"a\":1,}", "{}", "{\"b\":2]"]);
    assert_eq!(texts(b"[{}, ,{}]", None), ["{}", missing, "{}"]);
    assert_eq!(texts(b"[{},]", None), ["{}", missing]);
    assert_eq!(texts(b"[{}{},x}]", None), ["{}{}", "x}"]);
}

#[test]
fn a_broken_array_is_refused_with_its_line() {
    for cut in ["[", "[\n{}", "[{},\n", "[{\"a\":\"\n]"] {
        let lines = cut.lines().count();
        let error = failure(cut.as_bytes(), None);
        let said = error.contains("not closed") && error.starts_with("input, line ");
        assert!(said, "{cut:?} of {lines} lines: {error}");
    }
    assert!(failure(b"[]\n\n[]", None).contains("line 3: there is more behind"));
    assert!(failure(b"{}", Some(InputFormat::Json)).contains("not a JSON array"));
    assert!(records(b"", Some(InputFormat::Json)).unwrap().is_empty());
}

#[test]
fn an_endless_record_is_refused_without_being_kept() {
    let long = vec![b'x'; RECORD_BYTES_MAX + 10];
    let too_long = "! the record is longer than 64 MiB";
    for (input, after) in [
        ([b"{}\n".to_vec(), long.clone(), b"\n{\"b\":2}".to_vec()].concat(), "{\"b\":2}"),
        ([b"[{},\"".to_vec(), long, b"\",{\"b\":2}]".to_vec()].concat(), "{\"b\":2}"),
    ] {
        let found: Vec<String> =
            read_all(open(input), 10).unwrap().into_iter().map(|(.., text)| text).collect();
        assert_eq!(found, ["{}", too_long, after]);
    }
}

#[test]
fn a_batch_of_large_records_ends_early() {
    let line = [vec![b' '; BATCH_BYTES_MAX / 2], b"{}\n".to_vec()].concat();
    let mut input = open(line.repeat(5));
    let (mut batch, mut lengths) = (Batch::default(), Vec::new());
    loop {
        input.fill(&mut batch, 100).unwrap();
        if batch.is_empty() {
            break;
        }
        lengths.push(batch.len());
    }
    assert_eq!(lengths, [2, 2, 1]);
}

#[test]
fn rows_become_objects_with_types_where_nothing_is_lost() {
    let input = b"name,n,x\r\n\"a,\"\"b\",1,-2.50\r\n\xc3\xa4,01,1e3\n\n\r\n\"two\nlines\",,true\nz,-0,-7";
    assert_eq!(
        records(input, Some(InputFormat::Csv)).unwrap(),
        [
            seen(2, 1, r#"{"name":"a,\"b","n":1,"x":-2.50}"#),
            seen(3, 1, r#"{"name":"ä","n":"01","x":"1e3"}"#),
            seen(6, 1, r#"{"name":"two\nlines","n":null,"x":true}"#),
            seen(8, 1, r#"{"name":"z","n":"-0","x":-7}"#),
        ]
    );
    let numbers = [
        ("9223372036854775807", true),
        ("9223372036854775808", false),
        ("-9223372036854775808", true),
        ("0", true),
        ("0.5", true),
        (".5", false),
        ("5.", false),
        ("00.5", false),
        ("+5", false),
        ("1234567890.12345", true),
        ("1234567890.123456", false),
        ("1_000", false),
        ("NaN", false),
        ("٣", false),
    ];
    for (cell, is_number) in numbers {
        let found = texts(format!("a,b\n{cell},x\n").as_bytes(), Some(InputFormat::Csv));
        let expected = if is_number { cell.to_owned() } else { format!("\"{cell}\"") };
        assert_eq!(found, [format!("{{\"a\":{expected},\"b\":\"x\"}}")]);
    }
}

#[test]
fn cells_stay_text_if_asked_for() {
    let source = Box::new(&b"a,b,c\n1,,true\n"[..]);
    let input = Input::new("input".to_owned(), None, source, Some(InputFormat::Csv), Cells::Text).unwrap();
    assert_eq!(read_all(input, 9).unwrap(), [seen(2, 1, r#"{"a":"1","b":"","c":"true"}"#)]);
}

#[test]
fn bad_rows_are_named_and_passed_over() {
    let input = b"a,b\n1\n1,2,3\n\xff,2\n1,2\n";
    assert_eq!(
        records(input, Some(InputFormat::Csv)).unwrap(),
        [
            seen(2, 1, "! the row has 1 cells, the header row has 2"),
            seen(3, 1, "! the row has 3 cells, the header row has 2"),
            seen(4, 1, "! the cell in column \"a\" is not UTF-8"),
            seen(5, 1, r#"{"a":1,"b":2}"#),
        ]
    );
}

#[test]
fn a_bad_header_is_refused() {
    let csv = Some(InputFormat::Csv);
    assert!(failure(b"a,b,a\n", csv).contains("the column \"a\" twice"));
    assert!(failure(b"a,\xff\n", csv).contains("header row is not UTF-8"));
    assert!(failure(b"", csv).contains("no header row"));
    assert_eq!(texts(b"\xef\xbb\xbf\"a\",b\n1,2\n", csv), [r#"{"a":1,"b":2}"#]);
}

#[test]
fn a_place_in_a_record_becomes_one_in_the_input() {
    let refusal = |text: &str| {
        let error =
            skipstone::document::json_to_raw(text.as_bytes(), &skipstone::Limits::default()).unwrap_err();
        located("input", Place { line: 10, column: 5 }, &RecordError::Document(error))
    };
    assert!(refusal("{\"a\":}").starts_with("input, line 10, column 10: malformed JSON: "));
    assert!(refusal("{\"a\":\n }").starts_with("input, line 11, column 2: malformed JSON: "));
    assert!(refusal("{\"a\":1,\"a\":2}").starts_with("input, line 10, column 17: the object that ends here"));
    assert!(refusal("7").starts_with("input, line 10: a document must be an object"));
}
