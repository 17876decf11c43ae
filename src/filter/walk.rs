//! Which values a path leads to, in place.
//!
//! MongoDB's rules. An object is asked for the next name. An array that is not at the path's end is asked for each of its elements: an object among them for the rest of the path,
//! and the element whose position the next segment is for what comes after it. A missing name leads to one value that is not there; an array without objects leads to none.
//! At the end an array stands for its elements and itself, unless a position named it.

use bson::{RawArray, RawBsonRef, RawDocument};
use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::document::{find_field, parse_index};

/// Where an array at the path's end counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafArrays {
    /// Its elements do, and it does itself.
    Elements,
    /// It does as a whole.
    Whole,
    /// Its elements do; one without any does as a whole.
    OnlyElements,
}

/// Asks whether one of the values passes. As deep as the path is long, which has a limit.
pub(crate) struct Walk<F> {
    leaf_arrays: LeafArrays,
    /// None is a value that is not there.
    passes: F,
    /// Objects that a name and a position lead to, with how much of the path was left: there may be a number of ways to each that doubles with every other level.
    asked: RefCell<BTreeSet<(*const u8, usize)>>,
}

impl<F: Fn(Option<RawBsonRef<'_>>) -> bool> Walk<F> {
    pub(crate) fn new(leaf_arrays: LeafArrays, passes: F) -> Walk<F> {
        Walk { leaf_arrays, passes, asked: RefCell::default() }
    }

    /// From the value that the path starts in: an object, or an array in the place of one, which then has its positions as names.
    pub(crate) fn start(&self, value: RawBsonRef<'_>, path: &[String]) -> bool {
        match value {
            RawBsonRef::Array(array) => {
                let (position, rest) = split(path);
                self.reached(parse_index(position).and_then(|position| nth(array, position)), rest)
            }
            RawBsonRef::Document(object) => self.in_object(object, path),
            _ => false,
        }
    }

    fn in_object(&self, object: &RawDocument, path: &[String]) -> bool {
        let (name, rest) = split(path);
        self.reached(find_field(object, name), rest)
    }

    /// From a value on the way, or at the end.
    fn reached(&self, value: Option<RawBsonRef<'_>>, rest: &[String]) -> bool {
        match value {
            Some(RawBsonRef::Document(object)) if !rest.is_empty() => self.in_object(object, rest),
            Some(RawBsonRef::Array(array)) if !rest.is_empty() => self.in_array(array, rest),
            Some(RawBsonRef::Array(array)) if self.leaf_arrays == LeafArrays::Elements => {
                elements(array).any(|element| (self.passes)(Some(element))) || (self.passes)(value)
            }
            Some(RawBsonRef::Array(array))
                if self.leaf_arrays == LeafArrays::OnlyElements && elements(array).next().is_some() =>
            {
                elements(array).any(|element| (self.passes)(Some(element)))
            }
            Some(_) if !rest.is_empty() => (self.passes)(None),
            value => (self.passes)(value),
        }
    }

    fn in_array(&self, array: &RawArray, path: &[String]) -> bool {
        let (name, rest) = split(path);
        let position = parse_index(name);
        elements(array).enumerate().any(|(at, element)| match element {
            RawBsonRef::Document(object) if position == Some(at) && !rest.is_empty() => {
                self.in_object_once(object, path) || self.in_object_once(object, rest)
            }
            RawBsonRef::Document(object) if self.in_object(object, path) => true,
            element => position == Some(at) && self.at_position(element, rest),
        })
    }

    fn in_object_once(&self, object: &RawDocument, path: &[String]) -> bool {
        let place = (object.as_bytes().as_ptr(), path.len());
        let is_new = self.asked.borrow_mut().insert(place);
        is_new && self.in_object(object, path)
    }

    fn at_position(&self, element: RawBsonRef<'_>, rest: &[String]) -> bool {
        match element {
            element if rest.is_empty() => (self.passes)(Some(element)),
            RawBsonRef::Document(object) => self.in_object(object, rest),
            RawBsonRef::Array(array) => self.in_array(array, rest),
            _ => false,
        }
    }
}

fn split(path: &[String]) -> (&str, &[String]) {
    let (first, rest) = path.split_first().expect("a path goes on until its last segment");
    (first, rest)
}

fn nth(array: &RawArray, position: usize) -> Option<RawBsonRef<'_>> {
    elements(array).nth(position)
}

/// The elements, as far as they can be read.
pub(super) fn elements(array: &RawArray) -> impl Iterator<Item = RawBsonRef<'_>> {
    array.into_iter().map_while(Result::ok)
}
