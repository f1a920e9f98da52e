//! Evaluation of a parsed expression.

use std::cmp::Ordering;

use super::attributes;
use super::value::Value;
use crate::proto::google::api::expr::v1alpha1::constant::ConstantKind;
use crate::proto::google::api::expr::v1alpha1::expr::{Call, ExprKind, Select};
use crate::proto::google::api::expr::v1alpha1::{Constant, Expr};
use crate::trace::context::{Context, Subject};

/// Deepest nesting of an expression that is followed.
const MAX_DEPTH: u32 = 128;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// Envoy's evaluation fails.
    Error,
    /// The value depends on what is named.
    Unknown(String),
}

type Evaluated = Result<Value, Fault>;

pub(super) struct Evaluation<'c, 's> {
    pub(super) cx: &'c Context<'c>,
    pub(super) subject: Subject<'s>,
}

impl Evaluation<'_, '_> {
    pub(super) fn expression(&self, expression: &Expr) -> Evaluated {
        self.at(expression, MAX_DEPTH)
    }

    fn at(&self, expression: &Expr, depth: u32) -> Evaluated {
        let depth = depth.checked_sub(1).ok_or_else(|| Fault::Unknown("an expression nested too deep".to_owned()))?;
        match &expression.expr_kind {
            Some(ExprKind::ConstExpr(constant)) => literal(constant),
            Some(ExprKind::IdentExpr(ident)) => {
                known(attributes::attribute(self.subject, &ident.name).ok_or(Fault::Error)?)
            }
            Some(ExprKind::SelectExpr(select)) => self.select(select, depth),
            Some(ExprKind::CallExpr(call)) => self.call(call, depth),
            Some(ExprKind::ListExpr(list)) => {
                list.elements.iter().map(|element| self.at(element, depth)).collect::<Result<_, _>>().map(Value::List)
            }
            Some(ExprKind::StructExpr(_)) => Err(Fault::Unknown("a map or message that it builds".to_owned())),
            Some(ExprKind::ComprehensionExpr(_)) => Err(Fault::Unknown("a comprehension".to_owned())),
            None => Err(Fault::Unknown("an expression of unknown kind".to_owned())),
        }
    }

    fn select(&self, select: &Select, depth: u32) -> Evaluated {
        let operand = select.operand.as_ref().ok_or(Fault::Error)?;
        let value = self.at(operand, depth)?;
        let found = self.member(operand, &value, &select.field);
        if select.test_only {
            return match found {
                Ok(_) => Ok(Value::Bool(true)),
                Err(Fault::Error) if matches!(value, Value::Map(_) | Value::Headers(_)) => Ok(Value::Bool(false)),
                Err(fault) => Err(fault),
            };
        }
        found
    }

    fn member(&self, of: &Expr, value: &Value, key: &str) -> Evaluated {
        match value {
            Value::Map(entries) => match entries.get(key) {
                Some(member) => known(member.clone()),
                None => match &of.expr_kind {
                    Some(ExprKind::IdentExpr(ident)) if attributes::may_be_set(&ident.name, key) => {
                        Err(Fault::Unknown(format!("{}[{key:?}], which an extension may set", ident.name)))
                    }
                    _ => Err(Fault::Error),
                },
            },
            Value::Headers(headers) => {
                let name = key.to_ascii_lowercase();
                let name = if name == "host" { ":authority" } else { &name };
                headers.get(name).map(|value| Value::Text(value.clone())).ok_or(Fault::Error)
            }
            _ => Err(Fault::Error),
        }
    }

    fn call(&self, call: &Call, depth: u32) -> Evaluated {
        let operands: Vec<&Expr> = call.target.iter().map(AsRef::as_ref).chain(&call.args).collect();
        match (call.function.as_str(), operands.as_slice()) {
            ("_&&_", [left, right]) => self.logic(left, right, false, depth),
            ("_||_", [left, right]) => self.logic(left, right, true, depth),
            ("_?_:_", [condition, then, otherwise]) => match self.at(condition, depth)? {
                Value::Bool(true) => self.at(then, depth),
                Value::Bool(false) => self.at(otherwise, depth),
                _ => Err(Fault::Error),
            },
            ("_[_]", [of, index]) => {
                let (value, index) = (self.at(of, depth)?, self.at(index, depth)?);
                match (&value, &index) {
                    (Value::List(values), Value::Int(at)) => {
                        usize::try_from(*at).ok().and_then(|at| values.get(at)).cloned().ok_or(Fault::Error)
                    }
                    (_, Value::Text(key)) => self.member(of, &value, key),
                    _ => Err(Fault::Error),
                }
            }
            ("@in" | "_in_" | "in", [item, of]) => {
                let (item, value) = (self.at(item, depth)?, self.at(of, depth)?);
                match (&value, &item) {
                    (Value::List(values), item) => Ok(Value::Bool(values.iter().any(|value| value.equals(item)))),
                    (Value::Map(_) | Value::Headers(_), Value::Text(key)) => match self.member(of, &value, key) {
                        Ok(_) => Ok(Value::Bool(true)),
                        Err(Fault::Error) => Ok(Value::Bool(false)),
                        Err(fault) => Err(fault),
                    },
                    _ => Err(Fault::Error),
                }
            }
            (function, operands) => {
                let values: Vec<Value> =
                    operands.iter().map(|operand| self.at(operand, depth)).collect::<Result<_, _>>()?;
                self.function(function, &values)
            }
        }
    }

    /// `&&` and `||`: the operand that decides does so whatever the other is, on either side.
    fn logic(&self, left: &Expr, right: &Expr, decisive: bool, depth: u32) -> Evaluated {
        let operand = |expression| match self.at(expression, depth) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(_) => Err(Fault::Error),
            Err(fault) => Err(fault),
        };
        let left = operand(left);
        if left == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        match (left, operand(right)) {
            (_, Ok(right)) if right == decisive => Ok(Value::Bool(decisive)),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decisive)),
            // Unknown before error: the unknown operand may be the decisive one.
            (Err(Fault::Unknown(what)), _) | (_, Err(Fault::Unknown(what))) => Err(Fault::Unknown(what)),
            (Err(Fault::Error), _) | (_, Err(Fault::Error)) => Err(Fault::Error),
        }
    }

    fn function(&self, function: &str, values: &[Value]) -> Evaluated {
        use Value::{Bool, Bytes, Double, Headers, Int, List, Map, Text, Uint};
        let ordered = |wanted: fn(Ordering) -> bool, a: &Value, b: &Value| {
            a.compare(b).map(|order| Bool(wanted(order))).ok_or(Fault::Error)
        };
        match (function, values) {
            ("!_", [Bool(value)]) => Ok(Bool(!value)),
            ("@not_strictly_false", [value]) => Ok(Bool(*value != Bool(false))),
            ("_==_", [a, b]) => Ok(Bool(a.equals(b))),
            ("_!=_", [a, b]) => Ok(Bool(!a.equals(b))),
            ("_<_", [a, b]) => ordered(Ordering::is_lt, a, b),
            ("_<=_", [a, b]) => ordered(Ordering::is_le, a, b),
            ("_>_", [a, b]) => ordered(Ordering::is_gt, a, b),
            ("_>=_", [a, b]) => ordered(Ordering::is_ge, a, b),
            ("startsWith", [Text(text), Text(prefix)]) => Ok(Bool(text.starts_with(prefix.as_str()))),
            ("endsWith", [Text(text), Text(suffix)]) => Ok(Bool(text.ends_with(suffix.as_str()))),
            ("contains", [Text(text), Text(part)]) => Ok(Bool(text.contains(part.as_str()))),
            ("matches", [Text(text), Text(pattern)]) => self.finds(pattern, text),
            ("size", [Text(text)]) => Ok(size(text.chars().count())),
            ("size", [Bytes(bytes)]) => Ok(size(bytes.len())),
            ("size", [List(values)]) => Ok(size(values.len())),
            ("size", [Map(entries)]) => Ok(size(entries.len())),
            ("size", [Headers(headers)]) => Ok(size(headers.len())),
            ("int", [Int(value)]) => Ok(Int(*value)),
            ("int", [Uint(value)]) => i64::try_from(*value).map(Int).map_err(|_| Fault::Error),
            ("int", [Text(text)]) => text.parse().map(Int).map_err(|_| Fault::Error),
            ("uint", [Uint(value)]) => Ok(Uint(*value)),
            ("uint", [Int(value)]) => u64::try_from(*value).map(Uint).map_err(|_| Fault::Error),
            ("uint", [Text(text)]) => text.parse().map(Uint).map_err(|_| Fault::Error),
            ("double", [Double(value)]) => Ok(Double(*value)),
            ("double", [Text(text)]) => text.parse().map(Double).map_err(|_| Fault::Error),
            ("string", [Text(text)]) => Ok(Text(text.clone())),
            ("string", [Bytes(bytes)]) => String::from_utf8(bytes.clone()).map(Text).map_err(|_| Fault::Error),
            ("string", [Int(value)]) => Ok(Text(value.to_string())),
            ("string", [Uint(value)]) => Ok(Text(value.to_string())),
            ("string", [Bool(value)]) => Ok(Text(value.to_string())),
            ("bytes", [Text(text)]) => Ok(Bytes(text.clone().into_bytes())),
            ("dyn", [value]) => Ok(value.clone()),
            ("_+_", [Int(a), Int(b)]) => a.checked_add(*b).map(Int).ok_or(Fault::Error),
            ("_-_", [Int(a), Int(b)]) => a.checked_sub(*b).map(Int).ok_or(Fault::Error),
            ("_*_", [Int(a), Int(b)]) => a.checked_mul(*b).map(Int).ok_or(Fault::Error),
            ("_/_", [Int(a), Int(b)]) => a.checked_div(*b).map(Int).ok_or(Fault::Error),
            ("_%_", [Int(a), Int(b)]) => a.checked_rem(*b).map(Int).ok_or(Fault::Error),
            ("-_", [Int(value)]) => value.checked_neg().map(Int).ok_or(Fault::Error),
            ("-_", [Double(value)]) => Ok(Double(-value)),
            ("lowerAscii", [Text(text)]) => Ok(Text(text.to_ascii_lowercase())),
            ("upperAscii", [Text(text)]) => Ok(Text(text.to_ascii_uppercase())),
            // Envoy's evaluator is built without joining texts or lists (measured on 1.40).
            (
                "_+_" | "!_" | "startsWith" | "endsWith" | "contains" | "matches" | "size" | "lowerAscii"
                | "upperAscii",
                _,
            ) => Err(Fault::Error),
            (function, _) => Err(Fault::Unknown(format!("function {function}"))),
        }
    }

    /// RE2's search anywhere in the text.
    fn finds(&self, pattern: &str, text: &str) -> Evaluated {
        match self.cx.cache.pattern(&format!("(?s:.*)(?:{pattern})(?s:.*)")).is_match(text) {
            Ok(matches) => Ok(Value::Bool(matches)),
            Err(reason) => Err(Fault::Unknown(reason)),
        }
    }
}

fn known(value: Value) -> Evaluated {
    match value {
        Value::Unknown(what) => Err(Fault::Unknown(what)),
        value => Ok(value),
    }
}

fn size(size: usize) -> Value {
    Value::Int(i64::try_from(size).unwrap_or(i64::MAX))
}

fn literal(constant: &Constant) -> Evaluated {
    Ok(match constant.constant_kind.as_ref().ok_or(Fault::Error)? {
        ConstantKind::NullValue(_) => Value::Null,
        ConstantKind::BoolValue(value) => Value::Bool(*value),
        ConstantKind::Int64Value(value) => Value::Int(*value),
        ConstantKind::Uint64Value(value) => Value::Uint(*value),
        ConstantKind::DoubleValue(value) => Value::Double(*value),
        ConstantKind::StringValue(value) => Value::Text(value.clone()),
        ConstantKind::BytesValue(value) => Value::Bytes(value.to_vec()),
        ConstantKind::DurationValue(_) | ConstantKind::TimestampValue(_) => {
            return Err(Fault::Unknown("a time".to_owned()));
        }
    })
}
