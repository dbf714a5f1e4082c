//! From text to syntax: the only module here that knows the `cel` crate.
//!
//! Its parser recurses, and an overflow of the stack would end the process. So the text is bounded first
//! ([`token::tokens`]), and the parser runs on a thread of its own whose stack is larger than those bounds need, in
//! debug builds too (`tests::the_worst_shapes_fit_the_parsers_stack`). A panic in it is an error like another.

use std::thread;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::syntax::{Node, NodeKind, Operator};
use super::token::{self, Token, TokenKind};
use super::{DEPTH_MAX, ExpressionError};

/// Said of an expression deeper than [`DEPTH_MAX`], or than the parser goes.
const TOO_DEEP: &str = "operations nest too deep here; split the expression";
/// The parser's stack. Only the pages that it touches become memory.
pub(super) const STACK_BYTES: usize = 64 * 1024 * 1024;

/// The syntax tree of the expression, at most [`DEPTH_MAX`] deep.
pub(super) fn parse(source: &str) -> Result<Node, ExpressionError> {
    parse_on(source, STACK_BYTES)
}

/// [`parse`] with a parser's stack of that many bytes.
pub(super) fn parse_on(source: &str, stack_bytes: usize) -> Result<Node, ExpressionError> {
    let tokens = token::tokens(source)?;
    let unreadable = || ExpressionError::at(source, 0, "the expression cannot be read");
    thread::scope(|scope| {
        thread::Builder::new()
            .name("cel-parser".to_owned())
            .stack_size(stack_bytes)
            .spawn_scoped(scope, || parse_here(source, &tokens))
            .map_err(|_| ExpressionError::at(source, 0, "no thread could be started to read the expression"))?
            .join()
            .map_err(|_| unreadable())?
    })
}

fn parse_here(source: &str, tokens: &[Token]) -> Result<Node, ExpressionError> {
    // An empty environment has no macros: they come as the calls that they are written as.
    let parser = cel::Env::default().parser();
    match parser.parse_with_source_info(source) {
        Ok((tree, positions)) => Reader { source, tokens, positions }.node(&tree, 0),
        Err(errors) => Err(errors.errors.first().map_or_else(
            || ExpressionError::at(source, 0, "cannot be read"),
            |e| explain(source, tokens, e),
        )),
    }
}

/// The parser's first complaint in our words: it lists its grammar's token names.
fn explain(source: &str, tokens: &[Token], error: &cel::ParseError) -> ExpressionError {
    let (line, column) = error.pos;
    let offset = offset_of(source, line, column);
    let index = tokens.partition_point(|token| token.end <= offset);
    let Some(token) = tokens.get(index) else {
        return ExpressionError::at(source, source.trim_end().len(), "the expression ends too early");
    };
    let text = &source[token.start..token.end];
    let message = match token.kind {
        _ if error.msg.contains("Recursion limit") => TOO_DEEP.to_owned(),
        TokenKind::Number if error.msg.contains("int literal") => {
            format!("`{text}` has more than 64 bits; write `{text}.0` for an exact decimal")
        }
        TokenKind::Number => format!("`{text}` is not a number"),
        TokenKind::Literal if error.msg.contains("literal") || error.msg.contains("recognition") => {
            format!("{text} has an escape that is unknown; a backslash is `\\\\`, or write r'…'")
        }
        TokenKind::Word if index > 0 && source[..token.start].trim_end().ends_with('.') => {
            format!("`{text}` is a word of the language; a field of that name is written `self['{text}']`")
        }
        _ if error.msg.starts_with("reserved") => format!("`{text}` is a reserved word"),
        _ => format!("`{text}` is not expected here"),
    };
    ExpressionError::at(source, token.start, message)
}

/// The byte at a line and column (1-based, in characters) of the parser's.
fn offset_of(source: &str, line: isize, column: isize) -> usize {
    let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

struct Reader<'a> {
    source: &'a str,
    tokens: &'a [Token],
    positions: SourceInfo,
}

impl Reader<'_> {
    fn offset(&self, id: u64) -> usize {
        self.positions.offset_for(id).map_or(0, |(start, _)| start as usize)
    }

    fn refuse<T>(&self, at: usize, message: impl Into<String>) -> Result<T, ExpressionError> {
        Err(ExpressionError::at(self.source, at, message))
    }

    fn boxed(&self, tree: &IdedExpr, depth: usize) -> Result<Box<Node>, ExpressionError> {
        self.node(tree, depth).map(Box::new)
    }

    fn all(&self, trees: &[IdedExpr], depth: usize) -> Result<Vec<Node>, ExpressionError> {
        trees.iter().map(|tree| self.node(tree, depth)).collect()
    }

    fn node(&self, tree: &IdedExpr, depth: usize) -> Result<Node, ExpressionError> {
        let at = self.offset(tree.id);
        if depth == DEPTH_MAX {
            return self
                .refuse(at, format!("operations nest at most {DEPTH_MAX} deep; split the expression"));
        }
        let below = depth + 1;
        match &tree.expr {
            Expr::Literal(literal) => self.literal(literal, at),
            Expr::Ident(name) => match name.strip_prefix('.') {
                Some(name) => self.refuse(at, format!("write `{name}` without the leading dot")),
                None => Ok(Node { at, kind: NodeKind::Name(name.clone()) }),
            },
            Expr::Select(select) => {
                let operand = self.boxed(&select.operand, below)?;
                let at = token::after(self.tokens, at);
                Ok(Node { at, kind: NodeKind::Select(operand, select.field.clone()) })
            }
            Expr::List(list) => Ok(Node { at, kind: NodeKind::List(self.all(&list.elements, below)?) }),
            Expr::Call(call) => self.call(call, at, below),
            Expr::Map(_) => self.refuse(at, "maps cannot be written in an expression"),
            Expr::Struct(_) => self.refuse(at, "messages cannot be written in an expression"),
            Expr::Comprehension(_) | Expr::Unspecified => self.refuse(at, "cannot be read"),
        }
    }

    fn literal(&self, literal: &LiteralValue, at: usize) -> Result<Node, ExpressionError> {
        let kind = match literal {
            LiteralValue::Null => NodeKind::Null,
            LiteralValue::Boolean(yes) => NodeKind::Bool(*yes.inner()),
            LiteralValue::Int(number) => NodeKind::Int(*number.inner()),
            LiteralValue::Double(number) => {
                // The parser's value went through a float; the text has every digit.
                let digits =
                    token::at(self.tokens, at).map_or("", |token| &self.source[token.start..token.end]);
                let sign = if number.inner().is_sign_negative() { "-" } else { "" };
                let zero = if digits.starts_with('.') { "0" } else { "" };
                NodeKind::Number(format!("{sign}{zero}{digits}"))
            }
            LiteralValue::UInt(_) => {
                return self.refuse(at, "there are no unsigned numbers; leave out the `u`");
            }
            LiteralValue::String(text) if text.inner().contains('\0') => {
                return self.refuse(at, "a text cannot contain the character U+0000");
            }
            LiteralValue::String(text) => NodeKind::Text(text.inner().to_owned()),
            LiteralValue::Bytes(bytes) => NodeKind::Bytes(bytes.inner().to_vec()),
        };
        Ok(Node { at, kind })
    }

    fn call(
        &self,
        call: &cel::common::ast::CallExpr,
        at: usize,
        below: usize,
    ) -> Result<Node, ExpressionError> {
        let args = &call.args;
        let kind = match (call.func_name.as_str(), args.as_slice()) {
            (operators::LOGICAL_AND, _) => {
                let mut terms = Vec::new();
                self.flatten(operators::LOGICAL_AND, args, below, &mut terms)?;
                NodeKind::And(terms)
            }
            (operators::LOGICAL_OR, _) => {
                let mut terms = Vec::new();
                self.flatten(operators::LOGICAL_OR, args, below, &mut terms)?;
                NodeKind::Or(terms)
            }
            (operators::LOGICAL_NOT, [operand]) => NodeKind::Not(self.boxed(operand, below)?),
            (operators::NEGATE, [operand]) => NodeKind::Negate(self.boxed(operand, below)?),
            (operators::INDEX, [operand, index]) => {
                NodeKind::Index(self.boxed(operand, below)?, self.boxed(index, below)?)
            }
            (operators::OPT_SELECT | operators::OPT_INDEX, _) => {
                return self.refuse(at, "leave out the `?`: a part of json that is missing is null");
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => NodeKind::Conditional(Box::new([
                self.node(condition, below)?,
                self.node(then, below)?,
                self.node(otherwise, below)?,
            ])),
            (name, [left, right]) if call.target.is_none() && operator(name).is_some() => {
                let Some(operator) = operator(name) else { return self.refuse(at, "cannot be read") };
                NodeKind::Binary(operator, self.boxed(left, below)?, self.boxed(right, below)?)
            }
            (name, _) => {
                let target = call.target.as_deref().map(|target| self.boxed(target, below)).transpose()?;
                let args = self.all(args, below)?;
                let at = token::before(self.tokens, at);
                return Ok(Node { at, kind: NodeKind::Call { target, name: name.to_owned(), args } });
            }
        };
        Ok(Node { at, kind })
    }

    /// The terms of a chain of one logical operator; the parser balances it, so this is shallow.
    fn flatten(
        &self,
        operator: &str,
        trees: &[IdedExpr],
        depth: usize,
        terms: &mut Vec<Node>,
    ) -> Result<(), ExpressionError> {
        for tree in trees {
            match &tree.expr {
                Expr::Call(call) if call.func_name == operator => {
                    self.flatten(operator, &call.args, depth, terms)?;
                }
                _ => terms.push(self.node(tree, depth)?),
            }
        }
        Ok(())
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::IN => Operator::In,
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}
