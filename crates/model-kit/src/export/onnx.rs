//! A graph as the bytes of an ONNX file. Field numbers are those of `onnx.proto`
//! (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

use super::description::{Description, Dim};
use super::graph::{Attribute, Graph, Initialiser, Node};
use super::protobuf::Message;
use crate::Result;
use crate::layers::Network;

/// The version of ONNX' operations that files are written in.
pub const OPSET: i64 = 17;

/// The version of the file format that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// How ONNX counts 32-bit floats among its types.
pub const FLOAT: i64 = 1;

/// How ONNX counts 64-bit integers among its types.
pub const INT64: i64 = 7;

/// The network as a file: `input` → `logits`.
pub(super) fn encode(network: &dyn Network, description: &Description) -> Result<Vec<u8>> {
    let graph = Graph::default();
    let logits = network.export(graph.input("input"))?.name();
    let parts = graph.into_parts();
    let output = [description.input[..1].to_vec(), vec![Dim::Fixed(description.labels.len() as i64)]].concat();
    let body = Message::default()
        .each(&parts.nodes, |body, node| body.message(1, encode_node(node)))
        .bytes(2, &description.name)
        .each(&parts.initialisers, |body, initialiser| body.message(5, encode_initialiser(initialiser)))
        .message(11, floats("input", &description.input))
        // The last operation's result under the name that callers ask for.
        .message(1, encode_node(&Node::new("Identity", vec![logits], "logits".into())))
        .message(12, floats("logits", &output));
    let file = Message::default()
        .int(1, IR_VERSION)
        .bytes(2, env!("CARGO_PKG_NAME"))
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(7, body)
        .message(8, Message::default().bytes(1, "").int(2, OPSET))
        .each(description.properties()?, |file, (key, value)| {
            file.message(14, Message::default().bytes(1, key).bytes(2, value))
        });
    Ok(file.into_bytes())
}

/// `NodeProto`. A node goes by the name of its output.
fn encode_node(node: &Node) -> Message {
    Message::default()
        .each(&node.inputs, |message, name| message.bytes(1, name))
        .bytes(2, &node.output)
        .bytes(3, &node.output)
        .bytes(4, node.operation)
        .each(&node.attributes, |message, (name, value)| message.message(5, encode_attribute(name, value)))
}

/// `AttributeProto`: field 20 says which of the others holds the value.
fn encode_attribute(name: &str, value: &Attribute) -> Message {
    let message = Message::default().bytes(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).int(20, 1),
        Attribute::Int(value) => message.int(3, *value).int(20, 2),
        Attribute::Text(value) => message.bytes(4, value).int(20, 3),
        Attribute::Ints(values) => message.each(values, |message, &value| message.int(8, value)).int(20, 7),
    }
}

/// `TensorProto`, the values as little-endian bytes.
fn encode_initialiser(initialiser: &Initialiser) -> Message {
    let tensor = |name: &str, kind, shape: &[i64], bytes: Vec<u8>| {
        let message = Message::default().each(shape, |message, &size| message.int(1, size));
        message.int(2, kind).bytes(8, name).bytes(9, bytes)
    };
    match initialiser {
        Initialiser::Floats { name, shape, values } => {
            tensor(name, FLOAT, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        Initialiser::Ints { name, values } => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensor(name, INT64, &[values.len() as i64], bytes)
        }
    }
}

/// `ValueInfoProto` of a tensor of floats.
fn floats(name: &str, shape: &[Dim]) -> Message {
    let shape = Message::default().each(shape, |message, dim| {
        message.message(
            1,
            match dim {
                Dim::Fixed(size) => Message::default().int(1, *size),
                Dim::Free(name) => Message::default().bytes(2, name),
            },
        )
    });
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}
