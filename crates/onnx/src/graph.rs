//! A graph in the making: nodes, the tensors they take, and names that occur once.

use std::collections::BTreeSet;

use nn::{FileTensor, FileTensors};

use crate::BatchNorms;
use crate::schema::{
    AttributeProto, AttributeType, DataType, Dimension, Extent, GraphProto, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

pub(crate) const INPUT: &str = "images";
const OUTPUT: &str = "logits";
/// What the free first dimension is called.
const BATCH: &str = "batch";

/// What flows along an edge: the name of `[batch, c, h, w]`, and its size.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) name: String,
    /// `[h, w, c]`.
    pub(crate) size: [usize; 3],
}

pub(crate) struct Graph {
    pub(crate) batch_norms: BatchNorms,
    /// Those of the model that no node has taken yet.
    tensors: FileTensors,
    names: BTreeSet<String>,
    proto: GraphProto,
}

impl Graph {
    pub(crate) fn new(tensors: FileTensors, batch_norms: BatchNorms) -> Graph {
        let names = [INPUT.to_owned()].into();
        Graph { batch_norms, tensors, names, proto: GraphProto::default() }
    }

    /// A tensor of the model, which is no longer kept here.
    #[track_caller]
    pub(crate) fn take(&mut self, name: &str) -> FileTensor {
        self.tensors.remove(name).unwrap_or_else(|| panic!("no tensor named {name}"))
    }

    /// Adds a tensor to the file; gives its name.
    pub(crate) fn initializer(&mut self, name: &str, tensor: FileTensor) -> String {
        let FileTensor { shape, values } = tensor;
        self.proto.initializer.push(TensorProto {
            dims: shape.into_iter().map(|extent| extent as i64).collect(),
            data_type: DataType::Float.into(),
            name: name.to_owned(),
            raw_data: values.into_iter().flat_map(f32::to_le_bytes).collect(),
        });
        name.to_owned()
    }

    /// Moves a tensor of the model to the file.
    #[track_caller]
    pub(crate) fn own(&mut self, name: &str) -> String {
        let tensor = self.take(name);
        self.initializer(name, tensor)
    }

    /// Adds a node whose only output has its own name, numbered where `name` is taken; gives that name.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        name: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let name = candidates.find(|name| !self.names.contains(name)).expect("numbers do not end");
        self.names.insert(name.clone());
        self.proto.node.push(NodeProto {
            input,
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op_type.to_owned(),
            attribute,
        });
        name
    }

    /// The whole graph of what was added, whose logits have these extents behind the batch.
    pub(crate) fn finish(mut self, name: &str, side: usize, logits: &[usize]) -> GraphProto {
        let last = self.proto.node.last_mut().expect("a network has a classifier");
        last.output = vec![OUTPUT.to_owned()];
        name.clone_into(&mut self.proto.name);
        self.proto.input = vec![described(INPUT, &[3, side, side])];
        self.proto.output = vec![described(OUTPUT, logits)];
        self.proto
    }
}

/// A tensor `[batch, ...]`.
fn described(name: &str, extents: &[usize]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value) };
    let mut dim = vec![dimension(Extent::Param(BATCH.to_owned()))];
    dim.extend(extents.iter().map(|&extent| dimension(Extent::Value(extent as i64))));
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: DataType::Float.into(), shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

pub(crate) fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(value as i64),
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn ints<const N: usize>(name: &str, values: [usize; N]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.map(|value| value as i64).to_vec(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: Some(value.as_bytes().to_vec()),
        r#type: AttributeType::String.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: Some(value),
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}
