//! The syntax tree of an expression: ours, so that one module knows the parser crate.

/// A node and where it starts, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeKind {
    Null,
    Bool(bool),
    Int(i64),
    /// A number with a point or an exponent, as it is written.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    Name(String),
    /// `x.name`; the position is the name's.
    Select(Box<Node>, String),
    /// `x[i]`; the position is the bracket's.
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    /// `f(…)` or `x.f(…)`, macros included; the position is the function's.
    Call {
        target: Option<Box<Node>>,
        name: String,
        args: Vec<Node>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `a && b && …`.
    And(Vec<Node>),
    /// `a || b || …`.
    Or(Vec<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// condition, then, else.
    Conditional(Box<[Node; 3]>),
}

/// An operator with two sides. Both are always evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
