//! A training step of more ranks than there are machines: its messages as a trace that SimGrid replays, and what a simple model
//! expects.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;
use nn::Module;
use serde_json::json;
use train::durable::{self, WriteError};
use world::{Exchange, WorldError, schedule};
use zoo::Options;

use crate::args::BenchScale;
use crate::output;

/// The speed that the simulated hosts are given; a second of work is so many operations.
const FLOPS: f64 = 1e9;

/// The bytes before each message that tell its length.
const HEAD: u64 = 8;

/// A rank's messages in one step, and the time that it computes.
struct Step {
    ranks: usize,
    /// The numbers that are summed: gradients, what batch norms observed, the loss.
    values: u64,
    compute_seconds: f64,
}

pub(super) fn run(args: &BenchScale) -> Result<()> {
    let ranks = args.ranks as usize;
    let network = zoo::network(&args.model, &Options::plain(1000))?;
    let parameters: usize =
        network.parameters().iter().map(|spec| spec.shape.iter().product::<usize>()).sum();
    let observed: usize = network.norms().iter().map(|norm| 2 * norm.channels).sum();
    let values = (parameters + observed + 1) as u64;
    let compute_seconds = f64::from(args.images) / args.images_per_second;
    // Every rank sends the same number of equal messages.
    let step = Step { ranks, values: values.next_multiple_of(ranks as u64), compute_seconds };
    let first = step.exchanges(0)?;
    let bytes: u64 = first.iter().map(|exchange| exchange.bytes + HEAD).sum();
    let model_seconds = step.expected(&first, args);
    write(&step, args)?;
    let out = output::shell_word(&args.out);
    let command = format!(
        "smpirun -no-privatize -np {ranks} -platform {out}/cluster.xml -hostfile {out}/hosts.txt -replay {out}/ranks.txt \
         --cfg=smpi/host-speed:1Gf --log=smpi_config.t:error"
    );
    if args.json {
        output::json(&json!({
            "ranks": ranks,
            "parameters": parameters,
            "bytes_a_rank": bytes,
            "messages_a_rank": 2 * first.len(),
            "compute_seconds": compute_seconds,
            "model_seconds": model_seconds,
            "command": command,
        }));
        return Ok(());
    }
    output::print(&format!(
        "{ranks} ranks: {} and {} messages of each in a step; {compute_seconds:.3} s of work, {model_seconds:.3} s with the \
         messages by the model (efficiency {:.0} %)\ntrace: {}\nreplay it with: {command}",
        output::bytes(bytes),
        2 * first.len(),
        100.0 * compute_seconds / model_seconds,
        args.out.display(),
    ));
    Ok(())
}

impl Step {
    /// The exchanges of one rank: the control word, then the sum. They are those that the verbs themselves make.
    fn exchanges(&self, rank: usize) -> Result<Vec<Exchange>, WorldError> {
        let mut all = schedule(rank, self.ranks, |world| world.agree(0).map(drop))?;
        // One value a rank stands for as many as there are of each.
        let factor = self.values / self.ranks as u64;
        let sum = schedule(rank, self.ranks, |world| world.sum(&mut vec![0.0; self.ranks]))?;
        let full = |Exchange { peer, bytes }| Exchange { peer, bytes: bytes * factor };
        all.extend(sum.into_iter().map(full));
        Ok(all)
    }

    /// The seconds of a step when each rank's messages go one after another, at the speed of its own link.
    fn expected(&self, exchanges: &[Exchange], args: &BenchScale) -> f64 {
        let latency = args.microseconds * 1e-6;
        let of = |exchange: &Exchange| {
            2.0 * latency + 8.0 * (exchange.bytes + HEAD) as f64 / (args.gigabits * 1e9)
        };
        self.compute_seconds + exchanges.iter().map(of).sum::<f64>()
    }

    /// The actions of one rank, in SimGrid's words.
    fn trace(&self, rank: usize) -> Result<String, WorldError> {
        /// SimGrid's number of `MPI_BYTE`.
        const BYTE: u32 = 6;
        let mut text = format!("{rank} init\n{rank} compute {:.0}\n", self.compute_seconds * FLOPS);
        for (at, Exchange { peer, bytes }) in self.exchanges(rank)?.into_iter().enumerate() {
            for (tag, bytes) in [(2 * at, HEAD), (2 * at + 1, bytes)] {
                let _ = write!(
                    text,
                    "{rank} irecv {peer} {tag} {bytes} {BYTE}\n{rank} send {peer} {tag} {bytes} {BYTE}\n\
                     {rank} wait {peer} {rank} {tag}\n"
                );
            }
        }
        text += &format!("{rank} finalize\n");
        Ok(text)
    }
}

/// Writes the trace, the list of its files, and a cluster of as many nodes behind one switch that carries all at once.
fn write(step: &Step, args: &BenchScale) -> Result<()> {
    let folder = &args.out;
    fs::create_dir_all(folder).map_err(|cause| WriteError::new(folder, cause))?;
    let file = |name: &str, text: &str| durable::write(&folder.join(name), text.as_bytes());
    let last = step.ranks - 1;
    let mut trace = String::new();
    for rank in 0..step.ranks {
        trace += &step.trace(rank)?;
    }
    file("trace.txt", &trace)?;
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
    file("ranks.txt", &format!("{}\n", path.join(Path::new("trace.txt")).display()))?;
    let hosts: Vec<String> = (0..step.ranks).map(|rank| format!("node-{rank}\n")).collect();
    file("hosts.txt", &hosts.concat())?;
    let (bandwidth, latency) = (args.gigabits / 8.0, args.microseconds);
    file(
        "cluster.xml",
        &format!(
            "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n  \
             <cluster id=\"cluster\" prefix=\"node-\" suffix=\"\" radical=\"0-{last}\" speed=\"1Gf\" \
             bw=\"{bandwidth}GBps\" lat=\"{:.3}us\"/>\n</platform>\n",
            // A message goes over two links, one of each node.
            latency / 2.0
        ),
    )?;
    Ok(())
}
