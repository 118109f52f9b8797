//! A trained network as an ONNX file: its value walked layer by layer, so that every network of the zoo exports by
//! construction.
//!
//! The graph is the network in evaluation: `images` `[batch, 3, side, side]` f32 in, `logits` `[batch, classes]` out, with
//! `batch` any number. Nodes and tensors carry timm's names. Dropout and an auxiliary classifier, which only training
//! uses, are not in it.

mod graph;
mod layers;
pub mod schema;
#[cfg(test)]
mod tests;

use nn::{FileTensors, Layer, Model, Module};
use prost::Message;
use zoo::Network;

use graph::Graph;
use schema::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// The version of the operators' definitions: ONNX 1.12 and later know it.
pub const OPSET: i64 = 17;
/// The version of the file format that goes with it.
const IR_VERSION: i64 = 8;
/// Protocol buffers end at 2 GiB; a graph without its tensors needs less than the rest.
const LIMIT: usize = (1 << 31) - (16 << 20);

/// What becomes of a batch norm behind a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchNorms {
    /// It is multiplied into the convolution's weight and bias, in f64.
    Folded,
    /// It stays a node of its own.
    Kept,
}

/// How to write a model.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Of the images, pixels; at least the network's `least`.
    pub side: usize,
    pub batch_norms: BatchNorms,
    /// Keys and values that go with the file.
    pub metadata: Vec<(String, String)>,
}

/// A model that no ONNX file can hold.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    #[error(
        "{network} has {bytes} bytes of tensors, and an ONNX file ends at 2 GiB; export it with --format timm"
    )]
    TooLarge { network: String, bytes: usize },
}

/// The bytes of the ONNX file.
///
/// # Errors
/// When the tensors do not fit into a file.
pub fn export(model: &Model<Network>, options: ExportOptions) -> Result<Vec<u8>, OnnxError> {
    let statistics: usize = model.module.norms().iter().map(|norm| 2 * norm.channels).sum();
    let bytes = size_of::<f32>() * (model.parameters.count() + statistics);
    if bytes > LIMIT {
        return Err(OnnxError::TooLarge { network: model.module.name.clone(), bytes });
    }
    Ok(describe(model, options).encode_to_vec())
}

/// A network with a logit for each class at every pixel, in parts.
pub struct DenseNetwork<'a> {
    pub name: &'a str,
    /// From the images to coarse logits.
    pub layers: Vec<&'a Layer>,
    pub tensors: FileTensors,
    pub classes: usize,
    /// Whether upsampling lays corners on corners.
    pub align_corners: bool,
}

/// The bytes of the ONNX file of a segmenter: its logits are `[batch, classes, side, side]`.
///
/// # Errors
/// When the tensors do not fit into a file.
pub fn export_dense(network: DenseNetwork, options: ExportOptions) -> Result<Vec<u8>, OnnxError> {
    let DenseNetwork { name, layers, tensors, classes, align_corners } = network;
    let bytes: usize = tensors.values().map(|tensor| size_of::<f32>() * tensor.values.len()).sum();
    if bytes > LIMIT {
        return Err(OnnxError::TooLarge { network: name.to_owned(), bytes });
    }
    let ExportOptions { side, batch_norms, metadata } = options;
    let mut graph = Graph::new(tensors, batch_norms);
    graph.dense(layers, side, align_corners);
    Ok(described(graph.finish(name, side, &[classes, side, side]), metadata).encode_to_vec())
}

fn describe(
    model: &Model<Network>,
    ExportOptions { side, batch_norms, metadata }: ExportOptions,
) -> ModelProto {
    let mut graph = Graph::new(model.tensors(), batch_norms);
    graph.network(&model.module, side);
    described(graph.finish(&model.module.name, side, &[model.module.classes()]), metadata)
}

fn described(graph: GraphProto, metadata: Vec<(String, String)>) -> ModelProto {
    let entry = |(key, value)| StringStringEntryProto { key, value };
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "trickbag".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata.into_iter().map(entry).collect(),
    }
}
