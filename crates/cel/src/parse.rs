//! Tokens into syntax, by precedence climbing; macros are expanded where they are called. CEL specification, "Grammar".

use crate::ast::{Expr, Id, Literal, Node, op};
use crate::error::{CompileError, Issue};
use crate::lex::{self, Placed, Token};
use crate::macros;
use std::sync::Arc;

/// Code points of an expression at most (cel-go's number).
const SOURCE_MAX: usize = 100_000;
/// Nested expressions at most (cel-go's number).
const NESTED_MAX: usize = 250;
/// Nodes on the way from the root to a leaf at most, so that walking the tree needs a bounded stack.
const DEPTH_MAX: u16 = 400;
/// What can begin an operand, as the parser generator lists it.
const OPERANDS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const RESERVED: &[&str] = &[
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return",
    "var", "void", "while",
];

/// Parses a source; the number of nodes comes with it.
pub(crate) fn parse(source: &str) -> Result<(Node, Id), CompileError> {
    let fail = |i: Issue| CompileError::new(source, vec![i]);
    let size = source.chars().count();
    if size > SOURCE_MAX {
        return Err(fail(Issue::new(0, format!("expression code point size exceeds limit: size: {size}, limit {SOURCE_MAX}"))));
    }
    let tokens = lex::tokens(source).map_err(fail)?;
    let mut parser = Parser { source, tokens, next: 0, ids: 0, nested: 0 };
    let node = parser.expression().map_err(fail)?;
    if *parser.peek() != Token::End {
        return Err(fail(parser.unexpected("extraneous", "<EOF>")));
    }
    Ok((node, parser.ids + 1))
}

/// The state of a parse; macros make their nodes with it.
pub(crate) struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Placed>,
    next: usize,
    ids: Id,
    nested: usize,
}

type Parsed = Result<Node, Issue>;

/// Binary operators with their strength and names.
fn binary(token: &Token) -> Option<(u8, &'static str)> {
    Some(match token {
        Token::Sign("||") => (1, op::OR),
        Token::Sign("&&") => (2, op::AND),
        Token::Sign("==") => (3, op::EQUALS),
        Token::Sign("!=") => (3, op::NOT_EQUALS),
        Token::Sign("<") => (3, "_<_"),
        Token::Sign("<=") => (3, "_<=_"),
        Token::Sign(">") => (3, "_>_"),
        Token::Sign(">=") => (3, "_>=_"),
        Token::Ident(i) if &**i == "in" => (3, op::IN),
        Token::Sign("+") => (4, op::ADD),
        Token::Sign("-") => (4, "_-_"),
        Token::Sign("*") => (5, "_*_"),
        Token::Sign("/") => (5, "_/_"),
        Token::Sign("%") => (5, "_%_"),
        _ => return None,
    })
}

impl Parser<'_> {
    /// A new node.
    pub(crate) fn node(&mut self, at: u32, expr: Expr) -> Parsed {
        self.ids += 1;
        let depth = expr.depth_below() + 1;
        if depth > DEPTH_MAX {
            return Err(Issue::new(at, format!("expression recursion limit exceeded: {NESTED_MAX}")));
        }
        Ok(Node { id: self.ids, at, depth, expr })
    }

    /// A call of a function.
    pub(crate) fn call(&mut self, at: u32, function: &str, args: Vec<Node>) -> Parsed {
        self.node(at, Expr::Call { target: None, function: function.into(), args })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn at(&self) -> u32 {
        self.tokens[self.next].at
    }

    fn advance(&mut self) -> u32 {
        let at = self.at();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        at
    }

    fn take(&mut self, sign: &'static str) -> Option<u32> {
        (*self.peek() == Token::Sign(sign)).then(|| self.advance())
    }

    fn unexpected(&self, how: &str, wanted: &str) -> Issue {
        let placed = &self.tokens[self.next];
        let text = match placed.token {
            Token::End => "<EOF>",
            _ => &self.source[placed.at as usize..placed.end as usize],
        };
        Issue::new(placed.at, format!("Syntax error: {how} input '{text}' expecting {wanted}"))
    }

    fn expect(&mut self, sign: &'static str) -> Result<u32, Issue> {
        self.take(sign).ok_or_else(|| self.unexpected("mismatched", &format!("'{sign}'")))
    }

    fn expression(&mut self) -> Parsed {
        self.nested += 1;
        if self.nested > NESTED_MAX {
            return Err(Issue::new(self.at(), format!("expression recursion limit exceeded: {NESTED_MAX}")));
        }
        let condition = self.binary(1)?;
        let node = match self.take("?") {
            None => condition,
            Some(at) => {
                let then = self.binary(1)?;
                self.expect(":")?;
                let otherwise = self.expression()?;
                self.call(at, op::CONDITIONAL, vec![condition, then, otherwise])?
            }
        };
        self.nested -= 1;
        Ok(node)
    }

    /// Operators of at least a strength. Chains of `&&` and `||` become balanced trees.
    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some((strength, name)) = binary(self.peek()).filter(|(s, _)| *s >= least) {
            if strength <= 2 {
                let mut terms = vec![left];
                let mut ats = Vec::new();
                while binary(self.peek()).is_some_and(|(s, _)| s == strength) {
                    ats.push(self.advance());
                    terms.push(self.binary(strength + 1)?);
                }
                left = self.balance(name, &mut terms.into_iter(), &ats)?;
            } else {
                let at = self.advance();
                let right = self.binary(strength + 1)?;
                left = self.call(at, name, vec![left, right])?;
            }
        }
        Ok(left)
    }

    fn balance(&mut self, name: &str, terms: &mut std::vec::IntoIter<Node>, ats: &[u32]) -> Parsed {
        if ats.is_empty() {
            return Ok(terms.next().expect("one term more than operators"));
        }
        let middle = ats.len() / 2;
        let left = self.balance(name, terms, &ats[..middle])?;
        let right = self.balance(name, terms, &ats[middle + 1..])?;
        self.call(ats[middle], name, vec![left, right])
    }

    fn unary(&mut self) -> Parsed {
        for (sign, name) in [("!", op::NOT), ("-", op::NEGATE)] {
            let Some(at) = self.take(sign) else { continue };
            if sign == "-" {
                match *self.peek() {
                    Token::Int(n) => return self.negative(at, Literal::Int(-n)),
                    Token::IntMin => return self.negative(at, Literal::Int(i64::MIN)),
                    Token::Double(n) => return self.negative(at, Literal::Double(-n)),
                    _ => {}
                }
            }
            let mut count = 1;
            while self.take(sign).is_some() {
                count += 1;
            }
            let operand = self.postfix()?;
            return if count % 2 == 0 { Ok(operand) } else { self.call(at, name, vec![operand]) };
        }
        self.postfix()
    }

    fn negative(&mut self, at: u32, literal: Literal) -> Parsed {
        self.advance();
        let node = self.node(at, Expr::Literal(literal))?;
        self.tail(node)
    }

    fn postfix(&mut self) -> Parsed {
        let node = self.primary()?;
        self.tail(node)
    }

    /// Selections, indexes and calls of members.
    fn tail(&mut self, mut node: Node) -> Parsed {
        loop {
            if let Some(at) = self.take(".") {
                let optional = self.take("?").is_some();
                let field = self.name()?;
                if optional {
                    let text = self.node(at, Expr::Literal(Literal::Text(field)))?;
                    node = self.call(at, op::OPT_SELECT, vec![node, text])?;
                } else if let Some(open) = self.take("(") {
                    let args = self.arguments(")")?;
                    node = macros::member(self, open, node, field, args)?;
                } else {
                    node = self.node(at, Expr::Select { operand: Box::new(node), field, test: false })?;
                }
            } else if let Some(at) = self.take("[") {
                let name = if self.take("?").is_some() { op::OPT_INDEX } else { op::INDEX };
                let index = self.expression()?;
                self.expect("]")?;
                node = self.call(at, name, vec![node, index])?;
            } else if *self.peek() == Token::Sign("{") {
                let Some(name) = qualified(&node) else { return Ok(node) };
                node = self.structure(name)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn name(&mut self) -> Result<Arc<str>, Issue> {
        match self.peek().clone() {
            Token::Ident(name) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected("mismatched", "IDENTIFIER")),
        }
    }

    fn arguments(&mut self, close: &'static str) -> Result<Vec<Node>, Issue> {
        let mut args = Vec::new();
        while self.take(close).is_none() {
            args.push(self.expression()?);
            if self.take(",").is_none() {
                self.expect(close)?;
                break;
            }
        }
        Ok(args)
    }

    fn structure(&mut self, name: Arc<str>) -> Parsed {
        let at = self.advance();
        let mut fields = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let field = self.name()?;
            self.expect(":")?;
            fields.push((field, self.expression()?, optional));
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        self.node(at, Expr::Struct { name, fields })
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        let literal = match self.peek().clone() {
            Token::Int(n) => Literal::Int(n),
            Token::Uint(n) => Literal::Uint(n),
            Token::Double(n) => Literal::Double(n),
            Token::Text(s) => Literal::Text(s),
            Token::Bytes(b) => Literal::Bytes(b),
            Token::Ident(name) => return self.identifier(name),
            Token::IntMin => return Err(Issue::new(at, "invalid int literal")),
            Token::Sign("(") => {
                self.advance();
                let node = self.expression()?;
                self.expect(")")?;
                return Ok(node);
            }
            Token::Sign("[") => return self.list(),
            Token::Sign("{") => return self.map(),
            Token::Sign(".") => {
                self.advance();
                let name = self.name()?;
                return self.identifier_at(at, format!(".{name}").into());
            }
            _ => return Err(self.unexpected("mismatched", OPERANDS)),
        };
        self.advance();
        self.node(at, Expr::Literal(literal))
    }

    fn identifier(&mut self, name: Arc<str>) -> Parsed {
        let at = self.advance();
        let literal = match &*name {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            "in" => {
                self.next -= 1;
                return Err(self.unexpected("mismatched", OPERANDS));
            }
            n if RESERVED.contains(&n) => return Err(Issue::new(at, format!("reserved identifier: {name}"))),
            _ => return self.identifier_at(at, name),
        };
        self.node(at, Expr::Literal(literal))
    }

    fn identifier_at(&mut self, at: u32, name: Arc<str>) -> Parsed {
        match self.take("(") {
            Some(open) => {
                let args = self.arguments(")")?;
                macros::global(self, open, name, args)
            }
            None => self.node(at, Expr::Ident(name)),
        }
    }

    fn list(&mut self) -> Parsed {
        let at = self.advance();
        let mut items = Vec::new();
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            items.push((self.expression()?, optional));
            if self.take(",").is_none() {
                self.expect("]")?;
                break;
            }
        }
        self.node(at, Expr::List(items))
    }

    fn map(&mut self) -> Parsed {
        let at = self.advance();
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        self.node(at, Expr::Map(entries))
    }
}

/// `a.b.c` as one name, if a node is that.
pub(crate) fn qualified(node: &Node) -> Option<Arc<str>> {
    match &node.expr {
        Expr::Ident(name) => Some(Arc::clone(name)),
        Expr::Select { operand, field, test: false } => Some(format!("{}.{field}", qualified(operand)?).into()),
        _ => None,
    }
}
