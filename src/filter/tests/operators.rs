//! Each operator of the builder: the document that it is, and what it matches.

use bson::raw::cstr;
use bson::{Bson, Document, Regex, bson, doc, rawdoc};

use super::{raw, read, written};
use crate::filter::{Filter, element, field};

fn regex(pattern: &str, options: &str) -> Bson {
    Bson::RegularExpression(Regex {
        pattern: pattern.try_into().expect("no NUL"),
        options: options.try_into().expect("no NUL"),
    })
}

/// Builder, the same in MongoDB's syntax as people write it, and in the normal form.
fn forms() -> Vec<(Filter, Document, Document)> {
    let same = |filter: Filter, document: Document| (filter, document.clone(), document);
    let other = |filter: Filter, document: Document, normal: Document| (filter, document, normal);
    vec![
        same(Filter::all(), doc! {}),
        same(field("a").eq(1), doc! { "a": 1 }),
        other(field("a").eq(1), doc! { "a": { "$eq": 1 } }, doc! { "a": 1 }),
        other(field("a").eq(doc! { "b": 1 }), doc! { "a": { "b": 1 } }, doc! { "a": { "$eq": { "b": 1 } } }),
        other(field("a").eq(Bson::Undefined), doc! { "a": Bson::Undefined }, doc! { "a": null }),
        same(field("a").eq(doc! { "$gt": 1 }), doc! { "a": { "$eq": { "$gt": 1 } } }),
        same(field("a").eq(regex("x", "")), doc! { "a": { "$eq": regex("x", "") } }),
        same(field("a").ne(1), doc! { "a": { "$ne": 1 } }),
        same(field("a").ne(regex("x", "")), doc! { "a": { "$not": { "$eq": regex("x", "") } } }),
        same(field("a.b").lt(1), doc! { "a.b": { "$lt": 1 } }),
        same(field("a").le(1), doc! { "a": { "$lte": 1 } }),
        same(field("a").gt(1), doc! { "a": { "$gt": 1 } }),
        same(field("a").ge(1), doc! { "a": { "$gte": 1 } }),
        other(field("a").in_([3, 1, 3]), doc! { "a": { "$in": [3, 1, 3] } }, doc! { "a": { "$in": [1, 3] } }),
        other(
            field("a").in_([Bson::from(1), regex("x", "")]),
            doc! { "a": { "$in": [1, regex("x", "")] } },
            doc! { "$or": [{ "a": { "$in": [1] } }, { "a": { "$regex": "x" } }] },
        ),
        other(
            field("a").in_([regex("x", "")]),
            doc! { "a": regex("x", "") },
            doc! { "a": { "$regex": "x" } },
        ),
        same(field("a").not_in([1]), doc! { "a": { "$nin": [1] } }),
        same(field("a").exists(), doc! { "a": { "$exists": true } }),
        same(field("a").exists().not(), doc! { "a": { "$exists": false } }),
        other(field("a").exists(), doc! { "a": { "$exists": 1.0 } }, doc! { "a": { "$exists": true } }),
        other(field("a").type_(2), doc! { "a": { "$type": [2] } }, doc! { "a": { "$type": "string" } }),
        same(field("a").type_("number"), doc! { "a": { "$type": "number" } }),
        other(
            field("a").type_(vec!["minKey", "int"]),
            doc! { "a": { "$type": [16, -1_i64] } },
            doc! { "a": { "$type": ["int", "minKey"] } },
        ),
        same(field("a").starts_with("a.b"), doc! { "a": { "$regex": "^a\\.b" } }),
        same(field("a").contains("(x)"), doc! { "a": { "$regex": "\\(x\\)" } }),
        same(field("a").regex("x+"), doc! { "a": { "$regex": "x+" } }),
        other(
            field("a").regex_with("x+", "smi"),
            doc! { "a": { "$options": "misi", "$regex": "x+" } },
            doc! { "a": { "$regex": "x+", "$options": "ims" } },
        ),
        same(field("a").size(3), doc! { "a": { "$size": 3 } }),
        other(field("a").all([1]), doc! { "a": { "$all": [1] } }, doc! { "a": 1 }),
        other(
            field("a").all([1, 2]),
            doc! { "a": { "$all": [1, 2] } },
            doc! { "$and": [{ "a": 1 }, { "a": 2 }] },
        ),
        other(field("a").all(Vec::<i32>::new()), doc! { "a": { "$all": [] } }, doc! { "a": { "$in": [] } }),
    ]
}

fn joined_forms() -> Vec<(Filter, Document)> {
    vec![
        (
            field("a").gt(1).and(field("a").lt(5)).and(field("b").eq(2)),
            doc! { "a": { "$gt": 1, "$lt": 5 }, "b": 2 },
        ),
        (
            field("a").gt(1).and(field("b").eq(2)).and(field("a").lt(5)),
            doc! { "$and": [{ "a": { "$gt": 1 } }, { "b": 2 }, { "a": { "$lt": 5 } }] },
        ),
        (field("a").eq(1).and(field("a").gt(0)), doc! { "$and": [{ "a": 1 }, { "a": { "$gt": 0 } }] }),
        (Filter::all().and(field("a").eq(1)).and(Filter::all()), doc! { "a": 1 }),
        (
            field("a").eq(1).or(field("b").eq(2)).or(field("c").eq(3)),
            doc! { "$or": [{ "a": 1 }, { "b": 2 }, { "c": 3 }] },
        ),
        (field("a").eq(1).or(Filter::all()), doc! { "$or": [{ "a": 1 }, {}] }),
        (field("a").eq(1).or(field("b").eq(2)).not(), doc! { "$nor": [{ "a": 1 }, { "b": 2 }] }),
        (field("a").eq(1).and(field("b").eq(2)).not(), doc! { "$nor": [{ "a": 1, "b": 2 }] }),
        (Filter::all().not(), doc! { "$nor": [{}] }),
        (field("a").gt(1).not(), doc! { "a": { "$not": { "$gt": 1 } } }),
        (field("a").gt(1).not().not(), doc! { "a": { "$gt": 1 } }),
        (
            field("a").elem_match(field("b").eq(1).and(field("c").gt(2))),
            doc! { "a": { "$elemMatch": { "b": 1, "c": { "$gt": 2 } } } },
        ),
        (
            field("a").elem_match(element().ge(80).and(element().lt(85))),
            doc! { "a": { "$elemMatch": { "$gte": 80, "$lt": 85 } } },
        ),
        (
            field("a").elem_match(element().lt(3).or(element().gt(7))),
            doc! { "a": { "$elemMatch": { "$or": [{ "$lt": 3 }, { "$gt": 7 }] } } },
        ),
        // Two of one operator on an element share no object, whatever their operands are.
        (
            field("a").elem_match(element().eq(doc! { "b": 1 }).and(element().eq(doc! { "c": 1 }))),
            doc! { "a": { "$elemMatch": { "$and": [{ "$eq": { "b": 1 } }, { "$eq": { "c": 1 } }] } } },
        ),
        (
            field("a").elem_match(element().lt(3).not().and(element().gt(7).not())),
            doc! { "a": { "$elemMatch": { "$and": [{ "$not": { "$lt": 3 } }, { "$not": { "$gt": 7 } }] } } },
        ),
        (field("a").elem_match(Filter::all()), doc! { "a": { "$elemMatch": {} } }),
        (
            field("a").elem_match(element().elem_match(element().eq(1))),
            doc! { "a": { "$elemMatch": { "$elemMatch": { "$eq": 1 } } } },
        ),
    ]
}

#[test]
fn builder_and_document_are_one() {
    for (built, document, normal) in forms() {
        assert_eq!(written(&built), normal, "built for {document}");
        assert_eq!(written(&read(&document)), normal, "read from {document}");
        assert_eq!(written(&read(&normal)), normal, "read again");
    }
    for (built, document) in joined_forms() {
        assert_eq!(written(&built), document);
        assert_eq!(written(&read(&document)), document);
        let json: Filter = built.to_string().parse().expect("what is written reads back");
        assert_eq!(json.to_string(), built.to_string());
    }
}

#[test]
fn the_builder_matches() {
    let town =
        rawdoc! { "name": "Aachen (Spa)", "people": 249_070, "tags": ["spa", "cathedral"], "motto": null };
    for (filter, expected) in [
        (field("name").starts_with("Aachen (S"), true),
        (field("name").starts_with("achen"), false),
        (field("name").contains("(Spa)"), true),
        (field("name").contains("(spa)"), false),
        (field("name").regex_with("\\(spa\\)$", "i"), true),
        (field("name").regex("(?i)^AACHEN"), true),
        (field("name").regex("^\\w+ \\("), true),
        (field("name").regex("^\\Aachen"), false),
        (field("people").type_("int").and(field("people").type_("string").not()), true),
        (field("tags").all(["cathedral", "spa"]), true),
        (field("tags").all(["cathedral", "sea"]), false),
        (field("tags").size(2), true),
        (field("tags").elem_match(element().starts_with("ca")), true),
        (field("motto").exists().and(field("motto").eq(Bson::Null)), true),
        (field("mayor").exists(), false),
        (field("mayor").exists().not(), true),
        (field("people").not_in([1, 2]), true),
        (Filter::default(), true),
    ] {
        assert_eq!(filter.matches(&town), expected, "{filter}");
    }
}

#[test]
fn text_that_looks_like_a_pattern_is_text() {
    let odd = "a.b*c\\d^e$f[g](h)|i{j}+k?-l&m~n#o p\n\0é";
    let document = raw(&doc! { "v": format!("<{odd}>"), "w": format!("{odd}>") });
    assert!(field("v").contains(odd).matches(&document));
    assert!(field("w").starts_with(odd).matches(&document));
    assert!(!field("v").starts_with(odd).matches(&document));
    assert!(!field("v").contains("a.b.").matches(&document));
    let stored = rawdoc! { "v": bson::raw::RawBson::RegularExpression(Regex { pattern: cstr!("^ab").into(), options: cstr!("").into() }) };
    assert!(field("v").regex("^ab").matches(&stored));
    assert!(!field("v").regex_with("^ab", "i").matches(&stored));
}

#[test]
fn a_filter_goes_between_threads() {
    fn shareable<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    shareable(&field("a").regex("x+"));
}

#[test]
fn json_forms_of_values_are_values() {
    let filter: Filter = r#"{"id": {"$oid": "0102030405060708090a0b0c"}, "n": {"$gt": {"$numberLong": "5"}}, "t": {"$in": [{"$date": 5}]}}"#
        .parse()
        .expect("a filter");
    let document = written(&filter);
    assert!(matches!(document.get("id"), Some(Bson::ObjectId(_))));
    assert_eq!(document.get("n"), Some(&bson!({ "$gt": 5_i64 })));
    assert_eq!(document.get("t"), Some(&bson!({ "$in": [bson::DateTime::from_millis(5)] })));
}
