//! The normal form of a filter: tests, and `and`, `or` and `not` of them.
//!
//! Invariants: no `And` directly in an `And`, no `Or` in an `Or`, no `Not` in a `Not`; `And` has no child (it holds always) or at least two, `Or` at least two. As a
//! document the whole is no deeper than a document may be, so whatever walks it recursively ends soon enough.

use bson::raw::RawBson;
use bson::{RawBsonRef, RawDocument};

use super::FilterError;
use super::pattern::Pattern;
use super::types::TypeSet;
use crate::document::{FieldPath, Limits};

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

/// Whether one of the values that a path leads to passes.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    /// None is the element itself, within `elem_match`.
    pub(crate) path: Option<FieldPath>,
    pub(crate) operator: Operator,
}

/// What is asked of a value. No operand is undefined: null stands for it.
#[derive(Debug, Clone)]
pub(crate) enum Operator {
    Compare(Comparison, RawBson),
    /// The same with a value that is given later, by its position among those that are.
    Parameter(Comparison, usize),
    /// Equal to one of these: in order, no two equal.
    In(Vec<RawBson>),
    Exists,
    Type(TypeSet),
    Regex(Pattern),
    Size(u32),
    /// An array of which one element matches: by its fields, or as what it is.
    ElemMatch(Subject, Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Fields of an object.
    Fields,
    /// An element of an array, itself.
    Element,
}

impl Node {
    /// Where it looks in a document.
    pub(crate) fn paths(&self) -> Vec<&FieldPath> {
        match self {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().flat_map(Node::paths).collect(),
            Node::Not(node) => node.paths(),
            Node::Test(test) => test.path.iter().collect(),
        }
    }
}

/// A condition, and what its place in another one depends on.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) node: Node,
    /// Levels of objects and arrays as a document, or more.
    depth: usize,
    /// None if it asks for nothing.
    pub(super) subject: Option<Subject>,
    /// How many values are given later.
    pub(super) parameters: usize,
}

/// What `and`, `or` or `not` adds: an object and a list.
const JOIN_LEVELS: usize = 2;

impl Tree {
    pub(super) fn all() -> Tree {
        Tree { node: Node::And(Vec::new()), depth: 1, subject: None, parameters: 0 }
    }

    /// `operand_levels` counts the objects and arrays that the operand is made of, one in the other.
    pub(super) fn test(
        path: Option<&FieldPath>,
        operator: Operator,
        operand_levels: usize,
    ) -> Result<Tree, FilterError> {
        let subject = Some(if path.is_some() { Subject::Fields } else { Subject::Element });
        let parameters = match operator {
            Operator::Parameter(_, position) => position + 1,
            _ => 0,
        };
        let node = Node::Test(Test { path: path.cloned(), operator });
        // Around the operand there are the object of the operators and the one of the path.
        Tree { node, depth: operand_levels + 2, subject, parameters }.checked()
    }

    /// An array of which one element matches `self`.
    pub(super) fn into_element_of(self, path: Option<&FieldPath>) -> Result<Tree, FilterError> {
        let subject = self.subject.unwrap_or(Subject::Fields);
        let tree = Tree::test(path, Operator::ElemMatch(subject, Box::new(self.node)), self.depth)?;
        Ok(Tree { parameters: self.parameters, ..tree })
    }

    pub(super) fn and(self, other: Tree) -> Result<Tree, FilterError> {
        match (self.is_all(), other.is_all()) {
            (true, _) => Ok(other),
            (_, true) => Ok(self),
            _ => self.join(other, Node::And, |node| match node {
                Node::And(nodes) => Ok(nodes),
                other => Err(other),
            }),
        }
    }

    pub(super) fn or(self, other: Tree) -> Result<Tree, FilterError> {
        self.join(other, Node::Or, |node| match node {
            Node::Or(nodes) => Ok(nodes),
            other => Err(other),
        })
    }

    pub(super) fn not(self) -> Result<Tree, FilterError> {
        match self.node {
            Node::Not(inner) => Ok(Tree { node: *inner, depth: self.depth - JOIN_LEVELS, ..self }),
            node => {
                Tree { node: Node::Not(Box::new(node)), depth: self.depth + JOIN_LEVELS, ..self }.checked()
            }
        }
    }

    fn is_all(&self) -> bool {
        matches!(&self.node, Node::And(nodes) if nodes.is_empty())
    }

    /// Joins the parts of both; `parts` takes a node apart that is such a join already.
    fn join(
        self,
        other: Tree,
        join: fn(Vec<Node>) -> Node,
        parts: fn(Node) -> Result<Vec<Node>, Node>,
    ) -> Result<Tree, FilterError> {
        let subject = match (self.subject, other.subject) {
            (Some(one), Some(other)) if one != other => {
                return Err(FilterError::Element { reason: "both are joined" });
            }
            (one, other) => one.or(other),
        };
        let parameters = self.parameters.max(other.parameters);
        let (mut nodes, depth) = match parts(self.node) {
            Ok(nodes) => (nodes, self.depth - JOIN_LEVELS),
            Err(node) => (vec![node], self.depth),
        };
        let other_depth = match parts(other.node) {
            Ok(more) => {
                nodes.extend(more);
                other.depth - JOIN_LEVELS
            }
            Err(node) => {
                nodes.push(node);
                other.depth
            }
        };
        let depth = depth.max(other_depth) + JOIN_LEVELS;
        Tree { node: join(nodes), depth, subject, parameters }.checked()
    }

    /// The same with values in the place of parameters, of which there are as many; `levels` of the deepest.
    pub(super) fn bound(&self, values: &[RawBson], levels: usize) -> Result<Tree, FilterError> {
        debug_assert_eq!(values.len(), self.parameters);
        let node = self.node.bound(values);
        Tree { node, depth: self.depth + levels, subject: self.subject, parameters: 0 }.checked()
    }

    fn checked(self) -> Result<Tree, FilterError> {
        let limit = Limits::DEPTH_CEILING;
        if self.depth > limit { Err(FilterError::TooDeep { limit }) } else { Ok(self) }
    }
}

impl Node {
    fn bound(&self, values: &[RawBson]) -> Node {
        let each = |nodes: &[Node]| nodes.iter().map(|node| node.bound(values)).collect();
        match self {
            Node::And(nodes) => Node::And(each(nodes)),
            Node::Or(nodes) => Node::Or(each(nodes)),
            Node::Not(node) => Node::Not(Box::new(node.bound(values))),
            Node::Test(Test { path, operator }) => {
                let operator = match operator {
                    Operator::Parameter(comparison, position) => {
                        Operator::Compare(*comparison, values[*position].clone())
                    }
                    Operator::ElemMatch(subject, node) => {
                        Operator::ElemMatch(*subject, Box::new(node.bound(values)))
                    }
                    other => other.clone(),
                };
                Node::Test(Test { path: path.clone(), operator })
            }
        }
    }
}

/// How many objects and arrays a value is made of, one in the other. The value has passed the check of documents, which limits that.
pub(super) fn levels(value: RawBsonRef<'_>) -> usize {
    let deepest = |inner: &RawDocument| {
        inner.iter().map_while(Result::ok).map(|(_, value)| levels(value)).max().unwrap_or(0)
    };
    match value {
        RawBsonRef::Document(inner) => 1 + deepest(inner),
        RawBsonRef::Array(inner) => {
            1 + inner.into_iter().map_while(Result::ok).map(levels).max().unwrap_or(0)
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => 1 + deepest(code.scope),
        _ => 0,
    }
}
