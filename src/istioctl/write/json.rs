//! The three forms of JSON that istioctl prints (spec/istioctl.md §0.4).

use super::super::node::{Node, Shape};
use super::{NotFound, quoted};

const STEP: &str = "    ";

/// As Go's `encoding/json` indents it.
pub(crate) fn json(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer { out: String::new(), form: Form::Json };
    writer.node(node, 0)?;
    Ok(writer.out)
}

/// The same as an element of a list, with the indentation before it.
pub(crate) fn json_element(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer { out: STEP.to_owned(), form: Form::Json };
    writer.node(node, 1)?;
    Ok(writer.out)
}

/// As golang/protobuf's jsonpb indents it.
pub(crate) fn jsonpb(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer { out: String::new(), form: Form::Jsonpb };
    writer.node(node, 0)?;
    Ok(writer.out)
}

/// As protojson writes it in many lines.
pub(crate) fn protojson(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer { out: String::new(), form: Form::Protojson };
    writer.node(node, 0)?;
    Ok(writer.out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Jsonpb,
    Protojson,
}

struct Writer {
    out: String,
    form: Form,
}

impl Writer {
    /// Writes a value whose key or list element stands at `indent`.
    fn node(&mut self, node: &Node<'_>, indent: usize) -> Result<(), NotFound> {
        match node {
            Node::Null => self.out.push_str("null"),
            Node::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Node::Number(number) => self.out.push_str(number),
            Node::Text(text) => quoted(&mut self.out, text, self.form != Form::Protojson),
            Node::List(shape, items) => self.list(*shape, items, indent)?,
            Node::Object(shape, members) => self.object(*shape, members, indent)?,
            Node::Unregistered(_) => return Err(NotFound),
        }
        Ok(())
    }

    /// jsonpb counts a step for each message on the way, and these are messages too: where the closing bracket stands.
    fn shift(&self, shape: Shape) -> usize {
        match shape {
            Shape::Message | Shape::Field => 0,
            _ if self.form != Form::Jsonpb => 0,
            Shape::Struct => 1,
            Shape::Value => 2,
        }
    }

    fn list(&mut self, shape: Shape, items: &[Node<'_>], indent: usize) -> Result<(), NotFound> {
        let indent = indent + self.shift(shape);
        self.out.push('[');
        for (nth, item) in items.iter().enumerate() {
            self.comma(nth);
            self.line(indent + 1);
            self.node(item, indent + 1)?;
        }
        if !items.is_empty() || self.form == Form::Jsonpb {
            self.line(indent);
        }
        self.out.push(']');
        Ok(())
    }

    fn object(
        &mut self,
        shape: Shape,
        members: &[(std::borrow::Cow<'_, str>, Node<'_>)],
        indent: usize,
    ) -> Result<(), NotFound> {
        let indent = indent + self.shift(shape);
        self.out.push('{');
        for (nth, (name, node)) in members.iter().enumerate() {
            self.comma(nth);
            self.line(indent + 1);
            quoted(&mut self.out, name, self.form != Form::Protojson);
            self.out.push_str(if self.form == Form::Protojson { ":  " } else { ": " });
            self.node(node, indent + 1)?;
        }
        if members.is_empty() && self.form == Form::Jsonpb && shape == Shape::Message {
            self.out.push('\n');
        }
        if !members.is_empty() || self.form == Form::Jsonpb {
            self.line(indent);
        }
        self.out.push('}');
        Ok(())
    }

    fn comma(&mut self, nth: usize) {
        if nth > 0 {
            self.out.push(',');
        }
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        for _ in 0..indent {
            self.out.push_str(STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node<'_> {
        Node::Text(text.into())
    }

    #[test]
    fn brackets_of_structs_stand_deeper_in_jsonpb() {
        let inner = Node::Object(Shape::Value, vec![("b".into(), text("<"))]);
        let empty = Node::Object(Shape::Message, Vec::new());
        let node = Node::Object(
            Shape::Message,
            vec![("s".into(), Node::Object(Shape::Struct, vec![("a".into(), inner)])), ("e".into(), empty)],
        );
        let expected = [
            "{",
            "    \"s\": {",
            "            \"a\": {",
            "                        \"b\": \"\\u003c\"",
            "                    }",
            "        },",
            "    \"e\": {",
            "",
            "    }",
            "}",
        ];
        assert_eq!(jsonpb(&node).unwrap(), expected.join("\n"));
        assert_eq!(
            json(&node).unwrap(),
            "{\n    \"s\": {\n        \"a\": {\n            \"b\": \"\\u003c\"\n        }\n    },\n    \"e\": {}\n}"
        );
        assert!(protojson(&node).unwrap().contains("\"b\":  \"<\""));
    }

    #[test]
    fn what_is_not_registered_is_not_printed() {
        let node = Node::List(Shape::Field, vec![Node::Unregistered("x".into())]);
        assert_eq!(json(&node), Err(NotFound));
    }
}
