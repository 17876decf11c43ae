//! Random filters and documents: against the model, through both forms, and with bytes that are no document.

use bson::{Bson, Document, RawDocument, Regex, bson, doc};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{model, raw, read, written};
use crate::document::test_values::number;
use crate::filter::{Filter, FilterField, field};

/// Few values, so that filters hold now and then; all that are compared by value, and awkward ones.
fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        6 => (0i32..4).prop_map(Bson::Int32),
        1 => (0i64..4).prop_map(Bson::Int64),
        1 => (0i32..8).prop_map(|n| Bson::Double(f64::from(n) / 2.0)),
        1 => number(),
        3 => "[ab]{0,2}".prop_map(Bson::String),
        1 => "[ab]{0,1}".prop_map(Bson::Symbol),
        4 => prop_oneof![Just(Bson::Null), Just(Bson::Undefined)],
        1 => prop_oneof![Just(Bson::MinKey), Just(Bson::MaxKey), Just(Bson::Double(f64::NAN))],
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => regex(),
    ]
}

fn regex() -> impl Strategy<Value = Bson> {
    ("(\\^)?[ab]{1,2}\\.?", "i?").prop_map(|(pattern, options)| {
        Bson::RegularExpression(Regex {
            pattern: pattern.try_into().expect("no NUL"),
            options: options.try_into().expect("no NUL"),
        })
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("a"), 1 => Just("b"), 2 => Just("0")].prop_map(str::to_owned)
}

fn object(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    vec((name(), value), 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn value() -> impl Strategy<Value = Bson> {
    scalar().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![3 => vec(inner.clone(), 0..4).prop_map(Bson::Array), 2 => object(inner).prop_map(Bson::Document)]
    })
}

fn path() -> impl Strategy<Value = String> {
    vec(name(), 1..4).prop_map(|names| names.join("."))
}

/// A value in the place of operands, where a regular expression would be something else.
fn operand() -> impl Strategy<Value = Bson> {
    value().prop_filter("a pattern", |value| !matches!(value, Bson::RegularExpression(_)))
}

fn plain_operator() -> impl Strategy<Value = Document> {
    let types = prop_oneof![
        "string|object|array|null|bool|int|number|minKey|maxKey".prop_map(Bson::String),
        Just(bson!(["string", "array"])),
    ];
    prop_oneof![
        value().prop_map(|v| doc! { "$eq": v }),
        operand().prop_map(|v| doc! { "$ne": v }),
        ("\\$(lt|lte|gt|gte)", value()).prop_map(|(name, v)| doc! { name: v }),
        ("\\$(gt|gte)", scalar(), "\\$(lt|lte)", scalar()).prop_map(|(a, v, b, w)| doc! { a: v, b: w }),
        ("\\$(in|nin)", vec(value(), 0..4)).prop_map(|(name, list)| doc! { name: list }),
        vec(value(), 0..3).prop_map(|list| doc! { "$all": list }),
        any::<bool>().prop_map(|there| doc! { "$exists": there }),
        types.prop_map(|types| doc! { "$type": types }),
        (0i32..4).prop_map(|size| doc! { "$size": size }),
        ("(\\^)?[ab]{1,2}\\.?", "i?")
            .prop_map(|(pattern, options)| doc! { "$regex": pattern, "$options": options }),
    ]
}

fn operators() -> impl Strategy<Value = Document> {
    plain_operator().prop_recursive(3, 8, 2, |inner| {
        let fields = vec((path(), inner.clone().prop_map(Bson::Document)), 0..3)
            .prop_map(|fields| fields.into_iter().collect::<Document>());
        let condition = prop_oneof![inner.clone(), fields];
        prop_oneof![
            inner.prop_map(|operators| doc! { "$not": operators }),
            condition.clone().prop_map(|condition| doc! { "$elemMatch": condition }),
            vec(condition, 1..3).prop_map(|all| doc! {
                "$all": all.into_iter().map(|one| doc! { "$elemMatch": one }).collect::<Vec<_>>()
            }),
        ]
    })
}

fn filter() -> impl Strategy<Value = Document> {
    let condition = prop_oneof![
        3 => operators().prop_map(Bson::Document),
        // An object whose first name were an operator would be something else.
        1 => value(),
    ];
    let conditions = vec((path(), condition), 0..3).prop_map(|all| all.into_iter().collect::<Document>());
    conditions.prop_recursive(3, 10, 3, |inner| {
        let list = vec(inner, 1..3);
        prop_oneof![
            ("\\$(and|or|nor)", list.clone()).prop_map(|(name, list)| doc! { name: list }),
            ("\\$(and|or|nor)", list, path(), operators())
                .prop_map(|(name, list, path, operators)| doc! { name: list, path: operators }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_filter_matches_what_the_model_matches(filter in filter(), documents in vec(object(value()), 8)) {
        let read = read(&filter);
        for document in documents {
            let expected = model::matches(&filter, &document);
            prop_assert_eq!(read.matches(&raw(&document)), expected, "{} of {}", filter, document);
        }
    }

    #[test]
    fn writing_and_reading_again_changes_nothing(filter in filter(), documents in vec(object(value()), 8)) {
        let filter = read(&filter);
        let document = written(&filter);
        let again = read(&document);
        prop_assert_eq!(written(&again).to_string(), document.to_string());
        prop_assert_eq!(format!("{:?}", again), format!("{:?}", filter.clone()), "the same tree");
        let json: Filter = filter.to_string().parse().expect("what is written reads back");
        prop_assert_eq!(json.to_string(), filter.to_string());
        for document in documents {
            let document = raw(&document);
            prop_assert_eq!(json.matches(&document), filter.matches(&document), "{}", filter);
            prop_assert_eq!(filter.clone().not().matches(&document), !filter.matches(&document));
        }
    }

    #[test]
    fn builder_and_document_say_the_same(path in path(), value in operand(), list in vec(operand(), 0..4), text in "[a-c.*^]{0,3}") {
        type Build<'a> = Box<dyn Fn(FilterField) -> Filter + 'a>;
        let built: Vec<(Build<'_>, Document)> = vec![
            (Box::new(|f| f.eq(value.clone())), doc! { "$eq": value.clone() }),
            (Box::new(|f| f.ne(value.clone())), doc! { "$ne": value.clone() }),
            (Box::new(|f| f.lt(value.clone())), doc! { "$lt": value.clone() }),
            (Box::new(|f| f.le(value.clone())), doc! { "$lte": value.clone() }),
            (Box::new(|f| f.gt(value.clone())), doc! { "$gt": value.clone() }),
            (Box::new(|f| f.ge(value.clone())), doc! { "$gte": value.clone() }),
            (Box::new(|f| f.in_(list.clone())), doc! { "$in": list.clone() }),
            (Box::new(|f| f.not_in(list.clone())), doc! { "$nin": list.clone() }),
            (Box::new(|f| f.all(list.clone())), doc! { "$all": list.clone() }),
            (Box::new(|f| f.contains(&text)), doc! { "$regex": regex::escape(&text) }),
        ];
        for (build, operators) in built {
            let read = read(&doc! { &path: operators });
            let built = build(field(path.as_str()));
            prop_assert_eq!(format!("{:?}", built), format!("{:?}", read));
            prop_assert_eq!(read.to_string(), built.to_string());
        }
    }

    #[test]
    fn text_begins_and_contains_as_strings_do(text in "[ab.\\\\^\n]{0,6}", part in "[ab.\\\\^\n]{0,3}") {
        let document = raw(&doc! { "v": &text });
        prop_assert_eq!(field("v").starts_with(&part).matches(&document), text.starts_with(&part));
        prop_assert_eq!(field("v").contains(&part).matches(&document), text.contains(&part));
    }

    #[test]
    fn malformed_documents_do_no_harm(
        filter in filter(),
        document in object(value()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        noise in vec(any::<u8>(), 0..60),
    ) {
        let filter = read(&filter);
        let mut bytes = raw(&document).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Length and end are what makes bytes a document; all else may be anything.
        for mut bytes in [bytes, [&[0; 4], &noise[..], &[0]].concat()] {
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            *bytes.last_mut().expect("not empty") = 0;
            let document = RawDocument::from_bytes(&bytes).expect("length and end are right");
            prop_assert_eq!(filter.matches(document), !filter.clone().not().matches(document));
        }
    }
}
