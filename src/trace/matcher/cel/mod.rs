//! Conditions in CEL: the parsed expressions of RBAC and of the xDS `CelMatcher`.
//!
//! As in Envoy, an expression that fails (a header that isn't there, operands of the wrong type) is false. What this
//! evaluator doesn't know (a clock, a function beyond the standard ones) is assumed both ways.

mod attributes;
mod evaluate;
mod value;

use crate::proto::google::api::expr::v1alpha1::Expr;
use crate::proto::xds::r#type::matcher::v3::CelMatcher;
use crate::proto::xds::r#type::v3::cel_expression::ExprSpecifier;
use crate::trace::context::{Context, Subject};
use crate::trace::walk::Walk;
use evaluate::{Evaluation, Fault};
use value::Value;

/// Whether an expression is true.
pub(crate) fn is_true(cx: &Context<'_>, walk: &mut Walk, expression: &Expr, subject: Subject<'_>) -> bool {
    match (Evaluation { cx, subject }).expression(expression) {
        Ok(Value::Bool(value)) => value,
        Ok(_) | Err(Fault::Error) => false,
        Err(Fault::Unknown(what)) => walk.assume_bool(&format!("a CEL condition on {what}: is it true?")),
    }
}

/// Whether the matcher's expression is true.
pub(crate) fn matcher(cx: &Context<'_>, walk: &mut Walk, m: &CelMatcher, subject: Subject<'_>) -> bool {
    let expression = m.expr_match.as_ref();
    if let Some(ExprSpecifier::ParsedExpr(parsed)) = expression.and_then(|e| e.expr_specifier.as_ref())
        && let Some(expression) = &parsed.expr
    {
        return is_true(cx, walk, expression, subject);
    }
    // The two packages of CEL's syntax tree have the same shape.
    let parsed = expression.and_then(|e| e.cel_expr_parsed.as_ref()).and_then(|parsed| parsed.expr.as_ref());
    let checked = expression.and_then(|e| e.cel_expr_checked.as_ref()).and_then(|checked| checked.expr.as_ref());
    let same_shape = parsed.or(checked).map(|e| serde_json::to_value(e).and_then(serde_json::from_value::<Expr>));
    match same_shape {
        Some(Ok(expression)) => is_true(cx, walk, &expression, subject),
        _ => walk.assume_bool(&format!("a CEL condition that isn't parsed ({:?}): is it true?", m.description)),
    }
}

#[cfg(test)]
mod tests;
