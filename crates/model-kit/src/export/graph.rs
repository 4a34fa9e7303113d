//! A network as a list of ONNX operations.

use std::cell::RefCell;
use std::fmt;

use tch::{Device, Kind, Tensor};

use crate::Result;

/// An ONNX graph that is being written.
#[derive(Debug, Default)]
pub struct Graph(RefCell<Parts>);

#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The names of all values, which are also those of the nodes that compute them.
    names: Vec<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) initialisers: Vec<Initialiser>,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) operation: &'static str,
    pub(super) inputs: Vec<String>,
    pub(super) output: String,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

/// A tensor that is part of the file.
#[derive(Debug)]
pub(super) enum Initialiser {
    Floats { name: String, shape: Vec<i64>, values: Vec<f32> },
    Ints { name: String, values: Vec<i64> },
}

/// A setting of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Several whole numbers.
    Ints(Vec<i64>),
    /// A word.
    Text(&'static str),
}

/// What an operation of a [`Graph`] computes: a tensor of floats whose values come when the file is run. It has the
/// methods of a tensor, with PyTorch's meanings, each of which adds an operation to the graph.
#[derive(Clone, Copy)]
pub struct Value<'g> {
    graph: &'g Graph,
    index: usize,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.name()).finish()
    }
}

impl Node {
    pub(super) fn new(operation: &'static str, inputs: Vec<String>, output: String) -> Self {
        Self { operation, inputs, output, attributes: Vec::new() }
    }
}

impl Initialiser {
    /// The name, when it is floats of that shape, with two dimensions or more, and those values.
    fn name_if(&self, of_shape: &[i64], of_values: &[f32]) -> Option<String> {
        match self {
            Self::Floats { name, shape, values } if shape.len() > 1 && shape == of_shape && values == of_values => {
                Some(name.clone())
            }
            _ => None,
        }
    }
}

impl Graph {
    /// What the caller of the finished file passes under this name.
    pub fn input(&self, name: &str) -> Value<'_> {
        self.value(name.to_owned())
    }

    pub(super) fn into_parts(self) -> Parts {
        self.0.into_inner()
    }

    fn value(&self, name: String) -> Value<'_> {
        let names = &mut self.0.borrow_mut().names;
        names.push(name);
        Value { graph: self, index: names.len() - 1 }
    }

    fn floats(&self, name: String, tensor: &Tensor) -> Result<Value<'_>> {
        let values = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_flatten(0, -1)?;
        let (shape, values) = (tensor.size(), Vec::try_from(values)?);
        // A layer that works twice keeps its weights once.
        let known = self.0.borrow().initialisers.iter().find_map(|known| known.name_if(&shape, &values));
        if let Some(name) = known {
            return Ok(self.value(name));
        }
        self.0.borrow_mut().initialisers.push(Initialiser::Floats { name: name.clone(), shape, values });
        Ok(self.value(name))
    }

    fn ints(&self, name: String, values: &[i64]) -> Value<'_> {
        self.0.borrow_mut().initialisers.push(Initialiser::Ints { name: name.clone(), values: values.to_vec() });
        self.value(name)
    }

    /// The name of the next node, and the start of the names of its tensors.
    fn next(&self, operation: &str) -> String {
        format!("{operation}_{}", self.0.borrow().nodes.len())
    }
}

impl<'g> Value<'g> {
    /// The name in the file.
    pub fn name(self) -> String {
        self.graph.0.borrow().names[self.index].clone()
    }

    /// Adds any [operation of ONNX](https://onnx.ai/onnx/operators/) with one result, whose first input is this value.
    pub fn node(self, operation: &'static str, others: &[Self], attributes: &[(&'static str, Attribute)]) -> Self {
        let output = self.graph.next(operation);
        let inputs = std::iter::once(&self).chain(others).map(|value| value.name()).collect();
        let node = Node { attributes: attributes.to_vec(), ..Node::new(operation, inputs, output.clone()) };
        self.graph.0.borrow_mut().nodes.push(node);
        self.graph.value(output)
    }

    /// The same for an operation whose other inputs are tensors, such as weights; the file names them after the first
    /// operation that has them and what is said here.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when a tensor cannot be read.
    pub fn layer(
        self,
        operation: &'static str,
        tensors: &[(&str, &Tensor)],
        attributes: &[(&'static str, Attribute)],
    ) -> Result<Self> {
        let name = self.graph.next(operation);
        let tensors = tensors.iter().map(|(label, tensor)| self.graph.floats(format!("{name}.{label}"), tensor));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        Ok(self.node(operation, &tensors, attributes))
    }

    /// The same for an operation whose other input is one number.
    fn with_number(self, operation: &'static str, number: f64) -> Self {
        let name = format!("{}.number", self.graph.next(operation));
        let initialiser = Initialiser::Floats { name: name.clone(), shape: Vec::new(), values: vec![number as f32] };
        self.graph.0.borrow_mut().initialisers.push(initialiser);
        self.node(operation, &[self.graph.value(name)], &[])
    }

    /// The same for an operation whose other inputs are whole numbers, such as axes.
    fn with_ints(
        self,
        operation: &'static str,
        inputs: &[(&str, &[i64])],
        attribute: Option<(&'static str, i64)>,
    ) -> Self {
        let name = self.graph.next(operation);
        let inputs: Vec<_> =
            inputs.iter().map(|(label, values)| self.graph.ints(format!("{name}.{label}"), values)).collect();
        let attributes: Vec<_> = attribute.into_iter().map(|(key, value)| (key, Attribute::Int(value))).collect();
        self.node(operation, &inputs, &attributes)
    }

    /// A convolution of any rank: `weight` `[outputs, inputs, …]`, then for every place its stride and the zeros at both ends.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when a tensor cannot be read.
    pub fn convolution(self, weight: &Tensor, bias: Option<&Tensor>, stride: &[i64], padding: &[i64]) -> Result<Self> {
        let tensors: Vec<_> = [("weight", weight)].into_iter().chain(bias.map(|bias| ("bias", bias))).collect();
        self.layer(
            "Conv",
            &tensors,
            &[("strides", Attribute::Ints(stride.to_vec())), ("pads", Attribute::Ints(padding.repeat(2)))],
        )
    }

    /// `max(x, 0)`
    #[must_use]
    pub fn relu(self) -> Self {
        self.node("Relu", &[], &[])
    }

    /// `x` above 0, `exp(x) − 1` below
    #[must_use]
    pub fn elu(self) -> Self {
        self.node("Elu", &[], &[])
    }

    /// `1 / (1 + exp(−x))`
    #[must_use]
    pub fn sigmoid(self) -> Self {
        self.node("Sigmoid", &[], &[])
    }

    /// The hyperbolic tangent.
    #[must_use]
    pub fn tanh(self) -> Self {
        self.node("Tanh", &[], &[])
    }

    /// The square root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        self.node("Sqrt", &[], &[])
    }

    /// The sum, sizes of 1 stretched.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.node("Add", &[other], &[])
    }

    /// The difference, sizes of 1 stretched.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.node("Sub", &[other], &[])
    }

    /// The product, sizes of 1 stretched.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        self.node("Mul", &[other], &[])
    }

    /// Every value and the same number.
    #[must_use]
    pub fn plus_number(self, number: f64) -> Self {
        self.with_number("Add", number)
    }

    /// Every value times the same number.
    #[must_use]
    pub fn times_number(self, number: f64) -> Self {
        self.with_number("Mul", number)
    }

    /// Every value, or the same number where that is larger.
    #[must_use]
    pub fn at_least(self, number: f64) -> Self {
        self.with_number("Max", number)
    }

    /// Exponentials along a dimension, divided by their sum.
    #[must_use]
    pub fn softmax(self, dim: i64) -> Self {
        self.node("Softmax", &[], &[("axis", Attribute::Int(dim))])
    }

    /// `[batch, …]` → `[batch, rest]`
    #[must_use]
    pub fn flatten(self) -> Self {
        self.node("Flatten", &[], &[])
    }

    /// Another shape: 0 keeps the size of that place, −1 is what is left.
    #[must_use]
    pub fn reshape(self, shape: &[i64]) -> Self {
        self.with_ints("Reshape", &[("shape", shape)], None)
    }

    /// The dimensions in another order.
    #[must_use]
    pub fn permute(self, dims: &[i64]) -> Self {
        self.node("Transpose", &[], &[("perm", Attribute::Ints(dims.to_vec()))])
    }

    /// Without a dimension of size 1.
    #[must_use]
    pub fn squeeze(self, dim: i64) -> Self {
        self.with_ints("Squeeze", &[("axes", &[dim])], None)
    }

    /// With a new dimension of size 1.
    #[must_use]
    pub fn unsqueeze(self, dim: i64) -> Self {
        self.with_ints("Unsqueeze", &[("axes", &[dim])], None)
    }

    /// Places `start`, `start + step`, … before `end` (`i64::MAX`: to the end) of a dimension. Negative places count from
    /// the end.
    #[must_use]
    pub fn slice(self, dim: i64, start: i64, end: i64, step: i64) -> Self {
        let inputs: [(_, &[i64]); 4] = [("starts", &[start]), ("ends", &[end]), ("axes", &[dim]), ("steps", &[step])];
        self.with_ints("Slice", &inputs, None)
    }

    /// One place of a dimension, which goes away. A negative one counts from the end.
    #[must_use]
    pub fn select(self, dim: i64, place: i64) -> Self {
        let end = if place == -1 { i64::MAX } else { place + 1 };
        self.slice(dim, place, end, 1).squeeze(dim)
    }

    /// Sizes of 1 stretched to those of `shape`.
    #[must_use]
    pub fn expand(self, shape: &[i64]) -> Self {
        self.with_ints("Expand", &[("shape", shape)], None)
    }

    /// The sum over one dimension, which goes away.
    #[must_use]
    pub fn sum(self, dim: i64) -> Self {
        self.with_ints("ReduceSum", &[("axes", &[dim])], Some(("keepdims", 0)))
    }

    /// The largest along one dimension, which goes away.
    #[must_use]
    pub fn largest(self, dim: i64) -> Self {
        self.node("ReduceMax", &[], &[("axes", Attribute::Ints(vec![dim])), ("keepdims", Attribute::Int(0))])
    }

    /// The sums of everything up to each place of a dimension.
    #[must_use]
    pub fn cumsum(self, dim: i64) -> Self {
        self.with_ints("CumSum", &[("axis", &[dim])], None)
    }

    /// The values of both, side by side along a dimension.
    #[must_use]
    pub fn cat(self, other: Self, dim: i64) -> Self {
        self.node("Concat", &[other], &[("axis", Attribute::Int(dim))])
    }

    /// The largest of each window, as PyTorch's `max_pool1d` and `max_pool2d`: `padding` at both ends, which never wins;
    /// `ceil` keeps a last window that reaches beyond the end.
    #[must_use]
    pub fn max_pool(self, kernel: &[i64], stride: &[i64], padding: &[i64], ceil: bool) -> Self {
        let attributes = [
            ("kernel_shape", Attribute::Ints(kernel.to_vec())),
            ("strides", Attribute::Ints(stride.to_vec())),
            ("pads", Attribute::Ints(padding.repeat(2))),
            ("ceil_mode", Attribute::Int(i64::from(ceil))),
        ];
        self.node("MaxPool", &[], &attributes)
    }

    /// Pictures enlarged to a size, as PyTorch's `upsample_bilinear2d` without aligned corners.
    ///
    /// # Shapes
    /// `[batch, 1, height, width]` → `[batch, 1, size[0], size[1]]`
    #[must_use]
    pub fn upsample_bilinear(self, size: [i64; 2]) -> Self {
        let absent = self.graph.value(String::new());
        let rest = self.graph.ints(format!("{}.rest", self.graph.next("Resize")), &[1, size[0], size[1]]);
        let size = self.node("Shape", &[], &[("end", Attribute::Int(1))]).cat(rest, 0);
        self.node("Resize", &[absent, absent, size], &[("mode", Attribute::Text("linear"))])
    }

    /// `[batch, channels, …]` → `[batch, channels]`: the mean over all places.
    #[must_use]
    pub fn global_average(self) -> Self {
        self.node("GlobalAveragePool", &[], &[]).flatten()
    }
}
