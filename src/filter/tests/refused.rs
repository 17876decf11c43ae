//! What is refused: with the place in the filter, and what is allowed there.

use bson::{Bson, Document, bson, doc};

use super::raw;
use crate::document::{DocumentError, FieldPath};
use crate::filter::{Filter, FilterError, element, field};

fn refusal(json: &str) -> FilterError {
    json.parse::<Filter>().map(|filter| filter.to_string()).expect_err(json)
}

#[test]
fn unknown_operators_are_named_with_those_that_exist() {
    for (json, place, name, allowed) in [
        (r#"{"$where": "x"}"#, "$where", "$where", "$and, $or and $nor"),
        (r#"{"$or": [{"a": 1}, {"b": {"$above": 1}}]}"#, "$or.1.b.$above", "$above", "$gt"),
        (r#"{"a": {"$gt": 1, "b": 2}}"#, "a.b", "b", "$gt"),
        (r#"{"a": {"$not": {"$elemMatch": {"$near": 1}}}}"#, "a.$not.$elemMatch.$near", "$near", "$nor"),
        (r#"{"a": {"$and": [{"$gt": 1}]}}"#, "a.$and", "$and", "$gt"),
        (r#"{"a": {"$elemMatch": {"$gt": 1, "b": 2}}}"#, "a.$elemMatch.b", "b", "$gt"),
        (r#"{"a": {"$elemMatch": {"b": 2, "$gt": 1}}}"#, "a.$elemMatch.$gt", "$gt", "$nor"),
    ] {
        match refusal(json) {
            FilterError::Operator { at, operator, allowed: list } => {
                assert_eq!((at.as_str(), operator.as_str()), (place, name), "{json}");
                assert!(list.contains(allowed), "{json}: {list}");
            }
            other => panic!("{json}: {other}"),
        }
    }
}

#[test]
fn operands_of_the_wrong_kind_are_refused_with_their_place() {
    for (json, place, wanted) in [
        (r#"{"$and": {"a": 1}}"#, "$and", "a list of one or more filters"),
        (r#"{"$and": []}"#, "$and", "a list of one or more filters"),
        (r#"{"$or": [1]}"#, "$or.0", "a filter"),
        (r#"{"a": {"$in": 1}}"#, "a.$in", "a list of values"),
        (r#"{"a": {"$in": [1, {"$gt": 1}]}}"#, "a.$in.1", "values, not operators"),
        (r#"{"a": {"$nin": 1}}"#, "a.$nin", "a list of values"),
        (r#"{"a": {"$all": {}}}"#, "a.$all", "a list of values"),
        (r#"{"a": {"$all": [{"$gt": 1}]}}"#, "a.$all.0", "$elemMatch"),
        (r#"{"a": {"$exists": "yes"}}"#, "a.$exists", "true or false"),
        (r#"{"a": {"$size": -1}}"#, "a.$size", "a whole number from 0"),
        (r#"{"a": {"$size": 1.5}}"#, "a.$size", "a whole number from 0"),
        (r#"{"a": {"$size": "1"}}"#, "a.$size", "a whole number from 0"),
        (r#"{"a": {"$type": "text"}}"#, "a.$type", "string"),
        (r#"{"a": {"$type": ["string", 20]}}"#, "a.$type.1", "1 to 19"),
        (r#"{"a": {"$type": 0}}"#, "a.$type", "1 to 19"),
        (r#"{"a": {"$type": 255}}"#, "a.$type", "-1"),
        (r#"{"a": {"$type": []}}"#, "a.$type", "a list of types"),
        (r#"{"a": {"$not": 1}}"#, "a.$not", "an object of operators"),
        (r#"{"a": {"$not": {}}}"#, "a.$not", "an object of operators"),
        (r#"{"a": {"$elemMatch": 1}}"#, "a.$elemMatch", "an object of operators or a filter"),
        (r#"{"a": {"$regex": 1}}"#, "a.$regex", "a regular expression"),
        (r#"{"a": {"$regex": "x", "$options": "q"}}"#, "a.$regex", "i, m, s and x"),
        (r#"{"a": {"$regex": "x", "$options": 1}}"#, "a.$regex", "options as a string"),
        (r#"{"a": {"$options": "i"}}"#, "a.$options", "$regex"),
        (
            r#"{"a": {"$regex": {"$regularExpression": {"pattern": "x", "options": "i"}}, "$options": "m"}}"#,
            "a.$regex",
            "options in one place",
        ),
        (r#"{"a": {"$ne": {"$regularExpression": {"pattern": "x", "options": ""}}}}"#, "a.$ne", "$not"),
    ] {
        match refusal(json) {
            FilterError::Operand { at, expected, .. } => {
                assert_eq!(at, place, "{json}");
                assert!(expected.contains(wanted), "{json}: {expected}");
            }
            other => panic!("{json}: {other}"),
        }
    }
}

#[test]
fn messages_say_what_where_and_what_to_do() {
    assert_eq!(
        refusal(r#"{"a": {"$size": -1}}"#).to_string(),
        "filter at \"a.$size\": it takes a whole number from 0, found -1"
    );
    assert_eq!(
        refusal(r#"{"a": {"$regex": "(b"}}"#).to_string(),
        "filter at \"a.$regex\": the regular expression \"(b\" cannot be used: unclosed group"
    );
}

#[test]
fn hostile_patterns_are_errors() {
    let long = "a".repeat(33 << 10);
    let deep = format!("{}{}", "(".repeat(1000), ")".repeat(1000));
    for (pattern, reason) in [
        ("(a", "unclosed group"),
        ("(a)\\1", "backreferences are not supported"),
        ("(?=a)", "look-around"),
        ("\\p{Nonsense}", "Unicode"),
        ("((a{1000}){1000}){1000}", "bytes when compiled"),
        (&long, "are allowed"),
        (&deep, "nest"),
    ] {
        let error = field("v").regex(pattern).check().expect_err(reason);
        assert!(matches!(&error, FilterError::Regex { at, .. } if at == "v.$regex"), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
    let in_list = Filter::from_document(
        doc! { "v": { "$in": [1, bson::Regex { pattern: bson::raw::cstr!("(").into(), options: bson::raw::cstr!("").into() }] } },
    );
    assert!(matches!(in_list, Err(FilterError::Regex { at, .. }) if at == "v.$in.1"));
}

#[test]
fn paths_that_no_filter_can_say_are_refused() {
    let dotted = FieldPath::from_segments(["a.b"]).expect("a path");
    for filter in [
        field("").eq(1),
        field("a.\0").eq(1),
        field("$a").eq(1),
        field(dotted).exists(),
        field(vec!["a"; 200].join(".").as_str()).eq(1),
    ] {
        assert!(matches!(filter.check(), Err(FilterError::Path { .. })), "{filter}");
    }
    assert!(matches!(refusal(r#"{"": 1}"#), FilterError::Path { .. }));
    assert_eq!(field("a.$id").eq(1).check(), Ok(()));
}

#[test]
fn a_mistake_stays_and_matches_nothing() {
    let filter = field("a").size(1).or(field("v").regex("(").not()).and(field("b").regex("["));
    let mistake = filter.check().expect_err("a pattern that is none");
    assert!(matches!(&mistake, FilterError::Regex { at, .. } if at == "v.$regex"), "the first: {mistake}");
    assert_eq!(filter.to_document(), Err(mistake.clone()));
    assert_eq!(filter.to_string(), format!("no filter: {mistake}"));
    let document = raw(&doc! { "a": [1] });
    assert!(!filter.matches(&document) && !filter.not().matches(&document));
}

#[test]
fn conditions_on_elements_stand_in_elem_match_only() {
    let outside = element().gt(1);
    assert!(matches!(outside.check(), Err(FilterError::Element { .. })));
    assert!(!outside.matches(&raw(&doc! {})) && !outside.clone().not().matches(&raw(&doc! {})));
    assert!(outside.to_document().is_err());
    let mixed = field("a").elem_match(element().gt(1).and(field("b").eq(1)));
    assert!(matches!(mixed.check(), Err(FilterError::Element { .. })));
}

fn nested(levels: usize) -> Filter {
    (0..levels).fold(field("a").eq(1), |inner, level| {
        if level % 2 == 0 { inner.and(field("b").eq(1)) } else { inner.or(field("c").eq(1)) }
    })
}

#[test]
fn what_is_too_deep_is_refused_and_nothing_overflows() {
    assert_eq!(nested(58).check(), Ok(()));
    assert!(matches!(nested(100_000).check(), Err(FilterError::TooDeep { limit: 120 })));
    let wide = (0..20_000).fold(Filter::all(), |all, n| all.and(field("a").ne(n)));
    assert_eq!(wide.check(), Ok(()));
    let not = (0..100_000).fold(field("a").eq(1), |inner, _| inner.not());
    assert_eq!(not.check(), Ok(()));
    let within = (0..100_000).fold(element().eq(1), |inner, _| element().elem_match(inner));
    assert!(matches!(field("a").elem_match(within).check(), Err(FilterError::TooDeep { .. })));

    let json = format!("{}{{}}{}", r#"{"$nor":["#.repeat(50_000), "]}".repeat(50_000));
    assert!(matches!(
        refusal(&json),
        FilterError::Document(DocumentError::TooDeep { .. } | DocumentError::MalformedJson { .. })
    ));
    let value = (0..119).fold(bson!(1), |inner, _| Bson::Array(vec![inner]));
    assert!(field("a").eq(value.clone()).check().is_err());
    // Within the limit as it is, but not with what is written around it.
    let list: Document =
        doc! { "a": { "$in": [(0..115).fold(bson!(1), |inner, _| Bson::Array(vec![inner]))] } };
    let most = Filter::from_document(&list).expect("118 levels");
    assert_eq!(super::read(&super::written(&most)).to_string(), most.to_string());
    assert!(matches!(most.or(Filter::all()).or(field("a").eq(1)).check(), Ok(())));
}

#[test]
fn the_deepest_filter_is_written_and_read_again() {
    let deepest = (0..200).map(nested).take_while(|filter| filter.check().is_ok()).last().expect("some");
    let json = deepest.to_string();
    let again: Filter = json.parse().expect("as deep as a document may be");
    assert_eq!(again.to_string(), json);
    assert!(deepest.matches(&raw(&doc! { "a": 1, "b": 1, "c": 1 })));
}
