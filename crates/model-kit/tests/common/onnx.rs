//! Reads an exported ONNX file back, knowing the format and nothing of the code that writes it.

use std::collections::{BTreeMap, BTreeSet};

/// What tests want to know of a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Operations in order, with the names of their inputs and outputs.
    pub(crate) nodes: Vec<(String, Vec<String>, Vec<String>)>,
    /// Shape and bytes of the tensors in the file.
    pub(crate) initialisers: BTreeMap<String, (Vec<u64>, Vec<u8>)>,
    /// Names and shapes, free dimensions by name.
    pub(crate) inputs: Vec<(String, Vec<String>)>,
    pub(crate) outputs: Vec<(String, Vec<String>)>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) opset: u64,
}

/// A field's number and value; numbers of 32 bits are not looked at.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (number, content): (u64, &[u8]) = match key & 7 {
            0 => (varint(&mut bytes), &[]),
            2 => {
                let length = varint(&mut bytes);
                let (content, rest) = bytes.split_at(length as usize);
                bytes = rest;
                (0, content)
            }
            5 => {
                bytes = &bytes[4..];
                (0, &[])
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, number, content));
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn texts(message: &[u8], field: u64) -> Vec<String> {
    fields(message).into_iter().filter(|(key, ..)| *key == field).map(|(_, _, bytes)| text(bytes)).collect()
}

fn message(parent: &[u8], field: u64) -> &[u8] {
    fields(parent).into_iter().find(|(key, ..)| *key == field).map_or(&[], |(_, _, bytes)| bytes)
}

/// Name and shape of a `ValueInfoProto`.
fn value_info(info: &[u8]) -> (String, Vec<String>) {
    let shape = message(message(message(info, 2), 1), 2);
    let dims = fields(shape).into_iter().map(|(_, _, dim)| match fields(dim)[0] {
        (1, size, _) => size.to_string(),
        (_, _, name) => text(name),
    });
    (text(message(info, 1)), dims.collect())
}

/// Reads a file, and fails when an operation takes what nothing before it gives, or a tensor has not the bytes of its shape.
pub(crate) fn read(bytes: &[u8]) -> File {
    let mut file = File::default();
    for (key, _, content) in fields(bytes) {
        match key {
            8 => file.opset = fields(content).iter().find(|field| field.0 == 2).expect("a version").1,
            14 => drop(file.metadata.insert(text(message(content, 1)), text(message(content, 2)))),
            _ => {}
        }
    }
    for (key, _, content) in fields(message(bytes, 7)) {
        match key {
            1 => file.nodes.push((text(message(content, 4)), texts(content, 1), texts(content, 2))),
            5 => {
                let parts = fields(content);
                let shape: Vec<u64> = parts.iter().filter(|part| part.0 == 1).map(|part| part.1).collect();
                let width = match parts.iter().find(|part| part.0 == 2).expect("a type").1 {
                    1 => 4,
                    7 => 8,
                    other => panic!("type {other}"),
                };
                let (name, values) = (text(message(content, 8)), message(content, 9).to_vec());
                assert_eq!(values.len() as u64, width * shape.iter().product::<u64>(), "{name} of shape {shape:?}");
                assert!(file.initialisers.insert(name.clone(), (shape, values)).is_none(), "{name} comes twice");
            }
            11 => file.inputs.push(value_info(content)),
            12 => file.outputs.push(value_info(content)),
            _ => {}
        }
    }
    let mut known: BTreeSet<&str> = file.initialisers.keys().map(String::as_str).collect();
    known.extend(file.inputs.iter().map(|(name, _)| name.as_str()));
    for (operation, inputs, outputs) in &file.nodes {
        for name in inputs.iter().filter(|name| !name.is_empty()) {
            assert!(known.contains(name.as_str()), "{operation} takes {name}, which nothing gives before");
        }
        for name in outputs {
            assert!(known.insert(name), "{name} is given twice");
        }
    }
    for (name, _) in &file.outputs {
        assert!(known.contains(name.as_str()), "nothing gives the output {name}");
    }
    file
}
