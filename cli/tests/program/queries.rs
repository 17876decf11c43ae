//! `find`, `aggregate`, `update`, `remove`.

use crate::support::Place;
use serde_json::{Value, json};

const TOWNS: &str = r#"{"_id":"ac","country":"DE","people":249,"mayor":{"name":"S","since":2020},"tags":[{"t":"spa","n":1},"x"]}
{"_id":"bn","country":"DE","people":335}
{"_id":"mb","country":"KE","people":1208,"mayor":{"name":"A","since":2022}}
{"_id":"nb","country":"KE","people":4397}
{"_id":"xx","country":"KE"}
"#;

fn ids(place: &Place, args: &[&str]) -> Vec<String> {
    let values = place.run(&[&["find", "s", "c"], args].concat()).expect(0).values();
    values.iter().map(|document| document["_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn documents_are_found_by_filter_in_order_and_within_bounds() {
    let place = Place::with_documents(TOWNS);
    for (args, expected) in [
        (&[][..], &["ac", "bn", "mb", "nb", "xx"][..]),
        (&["-"], &["ac", "bn", "mb", "nb", "xx"]),
        (&[r#"{"people": {"$gt": 300}}"#], &["bn", "mb", "nb"]),
        (&[r#"{"mayor.since": 2020}"#], &["ac"]),
        (&[r#"{"_id": "nobody"}"#], &[]),
        (&["--sort", "-people"], &["nb", "mb", "bn", "ac", "xx"]),
        (&["--sort", "-country,people"], &["xx", "mb", "nb", "ac", "bn"]),
        (&["-", "--sort", "people", "--skip", "1", "--limit", "2"], &["ac", "bn"]),
        (&[r#"{"country": "KE"}"#, "--sort", "-people", "--limit", "1"], &["nb"]),
    ] {
        assert_eq!(ids(&place, args), expected, "{args:?}");
        // By way of an index it is the same.
        place.run(&["index", "create", "s", "c", "country", "people"]).expect(0);
        place.run(&["index", "create", "s", "c", "people:desc"]).expect(0);
        assert_eq!(sorted(ids(&place, args)), sorted(expected.iter().map(|id| (*id).to_owned()).collect()));
        if args.contains(&"--sort") {
            assert_eq!(ids(&place, args), expected, "{args:?}");
        }
        place.run(&["index", "drop", "s", "c", "country_people"]).expect(0);
        place.run(&["index", "drop", "s", "c", "people_desc"]).expect(0);
    }
    let counted = place.run(&["find", "s", "c", r#"{"country": "KE"}"#, "--count", "--limit", "2"]).expect(0);
    assert_eq!(counted.value(), json!({"collection": "c", "count": 2}));
    let human = place.run(&["find", "s", "c", "--count", "--human"]).expect(0).out;
    assert_eq!(human, "5 documents of `c` match\n");
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[test]
fn fields_are_printed_or_left_out_as_asked() {
    let place = Place::with_documents(TOWNS);
    for (project, expected) in [
        ("people,mayor.name", json!({"_id": "ac", "people": 249, "mayor": {"name": "S"}})),
        ("tags.t,-_id", json!({"tags": [{"t": "spa"}]})),
        ("-tags.t,-mayor,-_id", json!({"country": "DE", "people": 249, "tags": [{"n": 1}, "x"]})),
    ] {
        let ended =
            place.run(&["find", "s", "c", "--limit", "1", "--sort", "_id", "--project", project]).expect(0);
        assert_eq!(ended.value(), expected, "{project}");
    }
}

#[test]
fn a_cursor_leads_through_all_pages_even_when_the_store_was_closed_in_between() {
    let place = Place::with_documents(TOWNS);
    place.run(&["index", "create", "s", "c", "people", "--desc"]).expect(0);
    let page = ["find", "s", "c", "--sort", "-people", "--limit", "2", "--cursor"];
    let mut args: Vec<String> = page.map(str::to_owned).to_vec();
    let mut found = Vec::new();
    loop {
        let refs: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = place.run(&refs).expect(0);
        let documents = ended.values();
        found.extend(documents.iter().map(|document| document["_id"].clone()));
        let told: Value = serde_json::from_str(&ended.err).unwrap();
        match told["cursor"].as_str() {
            Some(cursor) => {
                args = page.iter().copied().chain(["--after", cursor]).map(str::to_owned).collect()
            }
            None => break,
        }
        assert!(!documents.is_empty(), "a cursor without documents: {ended:?}");
    }
    assert_eq!(json!(found), json!(["nb", "mb", "bn", "ac", "xx"]));

    let cursor = args.last().unwrap();
    let human = place.run(&[&page[..], &["--human"]].concat()).expect(0);
    assert!(human.err.starts_with("go on with --after ") && human.err.lines().count() == 1, "{human:?}");
    place
        .run(&["find", "s", "c", "--sort", "people", "--after", cursor])
        .expect_saying(2, &["the cursor does not belong to the query", "order"]);
}

#[test]
fn how_documents_are_found_is_explained() {
    let place = Place::with_documents(TOWNS);
    let query = ["find", "s", "c", r#"{"people": {"$gte": 1000}}"#];
    let plan = |more: &[&str]| place.run(&[&query, more].concat()).expect(0);
    assert!(plan(&["--explain"]).out.contains(r#""step":"scan""#), "{:?}", plan(&["--explain"]));
    place.run(&["index", "create", "s", "c", "people", "--name", "by_people"]).expect(0);
    // Few documents are scanned whatever there is; how many are found in the end is known all the same.
    let explained = plan(&["--explain", "--json"]).value();
    assert!(explained["estimated_cost"].as_f64() > Some(0.0), "{explained}");
    assert!(!explained.to_string().contains("actual_rows"), "{explained}");
    let analyzed = plan(&["--analyze"]).value();
    assert_eq!(analyzed["plan"]["actual_rows"], 2, "{analyzed}");
    let tree = plan(&["--analyze", "--human"]).out;
    assert!(tree.contains("2 rows") && tree.contains("\n  "), "{tree}");
    place.run(&["index", "create", "s", "c", "people", "--name", "unique", "--unique"]).expect(0);
    // An index alone says how many there are, but for the conditions that are asked of documents.
    for (filter, is_covered) in
        [(r#"{"people": 1000}"#, true), (r#"{"people": 1000, "country": {"$ne": "x"}}"#, false)]
    {
        for how in ["--explain", "--analyze"] {
            let counted = place.run(&["find", "s", "c", filter, "--count", how]).expect(0).out;
            assert_eq!(counted.contains("covering"), is_covered, "{counted}");
            assert_eq!(counted.contains(r#""step":"fetch""#), !is_covered, "{counted}");
            assert_eq!(counted.contains("actual_rows"), how == "--analyze", "{counted}");
        }
    }
}

#[test]
fn fields_that_an_index_has_are_printed_from_it() {
    let place = Place::with_documents(TOWNS);
    place.run(&["index", "create", "s", "c", "people", "country", "--unique"]).expect(0);
    let find =
        |more: &[&str]| place.run(&[&["find", "s", "c", r#"{"people": 1208}"#], more].concat()).expect(0);
    let printed = |project: &str| find(&["--project", project]).values();
    let whole = &find(&[]).values()[0];
    assert_eq!(printed("people,-_id"), [serde_json::json!({ "people": whole["people"] })]);
    assert_eq!(printed("country,people")[0]["_id"], whole["_id"]);
    for (project, is_covered) in
        [("people,-_id", true), ("country", true), ("mayor", false), ("-mayor", false)]
    {
        for how in ["--explain", "--analyze"] {
            let explained = find(&["--project", project, how]).out;
            assert_eq!(explained.contains("covering"), is_covered, "{project}: {explained}");
        }
    }
}

#[test]
fn sums_are_printed_a_line_for_each_group() {
    let place = Place::with_documents(TOWNS);
    let aggregate = |args: &[&str]| place.run(&[&["aggregate", "s", "c"], args].concat()).expect(0).values();
    let made = aggregate(&[
        "--by",
        "country",
        "--count",
        "towns",
        "--sum",
        "people=people",
        "--avg",
        "mean=people",
        "--min",
        "least=people",
        "--max",
        "most=people",
        "--max",
        "since=mayor.since",
    ]);
    assert_eq!(
        made,
        [
            json!({"_id": {"country": "DE"}, "towns": 2, "people": 584, "mean": 292.0, "least": 249, "most": 335, "since": 2020}),
            json!({"_id": {"country": "KE"}, "towns": 3, "people": 5605, "mean": 2802.5, "least": 1208, "most": 4397, "since": 2022}),
        ]
    );
    assert_eq!(aggregate(&[r#"{"people": {"$gt": 9999}}"#, "--count", "n"]), [json!({"_id": {}, "n": 0})]);
    let of_two = aggregate(&["--by", "country,mayor.name"]);
    assert_eq!(of_two[0]["_id"], json!({"country": "DE", "mayor.name": null}));
    place
        .run(&["aggregate", "s", "c", "--count", "n", "--sum", "n=people"])
        .expect_saying(2, &["`n` is named twice"]);
}

#[test]
fn how_groups_are_made_is_explained() {
    let place = Place::with_documents(TOWNS);
    place.run(&["index", "create", "s", "c", "country"]).expect(0);
    let how = |more: &[&str]| {
        let aggregate = ["aggregate", "s", "c", r#"{"country": {"$gt": "A"}}"#, "--by", "country"];
        place.run(&[&aggregate, more].concat()).expect(0)
    };
    let explained = how(&["--count", "n", "--explain"]).value();
    assert_eq!(
        (&explained["plan"]["step"], &explained["plan"]["actual_rows"]),
        (&json!("group"), &Value::Null)
    );
    assert!(explained["estimated_cost"].as_f64() > Some(0.0), "{explained}");
    let plan = how(&["--count", "n", "--analyze"]).value()["plan"].take();
    assert_eq!(
        (&plan["step"], &plan["detail"]),
        (&json!("group"), &json!("by country: n = count")),
        "{plan}"
    );
    assert_eq!((&plan["actual_rows"], &plan["inputs"][0]["actual_rows"]), (&json!(2), &json!(5)), "{plan}");
    // An index that has all that is looked at needs no document.
    assert!(how(&["--count", "n", "--analyze"]).out.contains("covering"));
    assert!(!how(&["--sum", "n=people", "--analyze"]).out.contains("covering"));
    let tree = how(&["--sum", "n=people", "--analyze", "--human"]).out;
    assert!(tree.starts_with("group by country: n = sum(people)  2 rows") && tree.contains("\n  "), "{tree}");
}

#[test]
fn what_a_filter_matches_is_changed_or_removed() {
    let place = Place::with_documents(TOWNS);
    let patch = r#"{"$set": {"mayor.term": 5}, "$inc": {"people": 1}, "$push": {"tags": "new"}}"#;
    let updated = place.run(&["update", "s", "c", r#"{"mayor": {"$exists": true}}"#, patch]).expect(0);
    assert_eq!(updated.value(), json!({"collection": "c", "updated": 2}));
    let first = place.run(&["get", "s", "c", "ac"]).expect(0).value();
    assert_eq!(
        (&first["people"], &first["mayor"]["term"], &first["tags"][2]),
        (&json!(250), &json!(5), &json!("new"))
    );
    assert_eq!(place.run(&["get", "s", "c", "bn"]).expect(0).value()["people"], 335);

    // One document that the patch does not fit, and none is changed.
    place
        .run(&["update", "s", "c", "-", r#"{"$inc": {"country": 1}}"#])
        .expect_saying(7, &["cannot patch \"country\"", "string"]);
    assert_eq!(place.run(&["get", "s", "c", "ac"]).expect(0).value(), first);

    let human = place.run(&["remove", "s", "c", r#"{"country": "KE"}"#, "--human"]).expect(0).out;
    assert_eq!(human, "3 documents removed from `c`\n");
    assert_eq!(place.ids(), [json!("ac"), json!("bn")]);
    assert_eq!(
        place.run(&["remove", "s", "c", "-"]).expect(0).value(),
        json!({"collection": "c", "removed": 2})
    );
}

#[test]
fn a_past_that_is_not_kept_is_gone_and_the_future_is_not_there() {
    let place = Place::with_documents(TOWNS);
    place.run(&["find", "s", "c", "--at", "0"]).expect_saying(3, &["history before position", "is gone"]);
    place.run(&["find", "s", "c", "--at", "99999999"]).expect_saying(3, &["is not reached yet"]);
    place.run(&["aggregate", "s", "c", "--count", "n", "--at", "0"]).expect_saying(3, &["is gone"]);
    // What is known of the past is not what was in it.
    let position = place.run(&["stats", "s"]).expect(0).value()["position"].to_string();
    place.run_with(&["put", "s", "c"], "{\"_id\":\"ac\"}").expect(0);
    place.run(&["find", "s", "c", "--at", &position]).expect_saying(3, &["is gone"]);
}

#[test]
fn mistakes_are_usage_and_touch_nothing() {
    let place = Place::with_documents(TOWNS);
    let before = place.contents("s");
    for (args, says) in [
        (&["find", "s", "c", "{"][..], "malformed JSON"),
        (&["find", "s", "c", r#"{"a": {"$above": 1}}"#], "there is no operator \"$above\" here"),
        (&["find", "s", "c", "--sort", "a,"], "a field's name is missing"),
        (&["find", "s", "c", "--limit", "0"], "--limit"),
        (&["find", "s", "c", "--limit", "-1"], "'--limit <N>': give a number from 1"),
        (&["scan", "s", "c", "--limit", "-1"], "'--limit <N>': give a number from 1"),
        (&["watch", "s", "c", "--limit", "-1"], "'--limit <N>': give a number from 1"),
        (&["find", "s", "c", "--skip", "x"], "'--skip <N>': give a number from 0"),
        (&["find", "s", "c", "--after", "zzz"], "the cursor does not belong to the query"),
        (&["find", "s", "c", "--project", "a,-b"], "name the fields to print"),
        (&["find", "s", "c", "--project", "a.b,a"], "named twice"),
        (&["find", "s", "c", "--count", "--cursor"], "cannot be used with"),
        (&["aggregate", "s", "c"], "--by"),
        (&["aggregate", "s", "c", "--explain"], "--by"),
        (
            &["aggregate", "s", "c", "--count", "n", "--at", "yesterday"],
            "give a position of the log, or a time",
        ),
        (&["aggregate", "s", "c", "--sum", "people"], "give a name for the result"),
        (&["update", "s", "c", "-", r#"{"people": 1}"#], "stands where an operator should"),
        (&["update", "s", "c", "-", r#"{"$set": {"_id": 1}}"#], "cannot change"),
        (&["remove", "s", "c"], "FILTER"),
    ] {
        let ended = place.run(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
        assert!(ended.err.contains(says), "{says:?} is not in {ended:?}");
    }
    assert_eq!(place.contents("s"), before);
    place.run(&["find", "s", "nothing"]).expect_saying(3, &["no collection `nothing`", "it has c"]);
    place.run(&["find", "s", "c", "--sort", "a,a"]).expect_saying(2, &["`a` is named twice"]);
    for (args, says) in [
        (["--by", "a,a"], "`a` is named twice"),
        (["--count", "$n"], "a result cannot be called \"$n\""),
        (["--sum", "a.b=c"], "it has a dot"),
    ] {
        place.run(&[&["aggregate", "s", "c"][..], &args].concat()).expect_saying(2, &[says]);
    }
}

#[test]
fn a_long_filter_is_not_said_again_but_where_its_mistake_is() {
    let place = Place::with_documents(TOWNS);
    let long = format!(r#"{{"a": {{"$in": {:?}}}, "b" 1}}"#, (0..500).collect::<Vec<_>>());
    let column = long.find(" 1}").unwrap() + 2;
    let ended = place.run(&["find", "s", "c", &long]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
    assert!(ended.err.contains(&long[..40]) && ended.err.contains(&format!("column {column}")), "{ended:?}");
    assert!(ended.err.len() < 400, "{ended:?}");
    let script =
        format!("find c {{\"a\": {{\"$in\": {:?}, \"$above\": 1}}}}\n", (0..500).collect::<Vec<_>>());
    let ended = place.run_with(&["shell", "s"], &script).expect_saying(2, &["operator \"$above\""]);
    assert!(ended.err.len() < 800, "{ended:?}");
}
