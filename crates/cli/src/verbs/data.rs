//! `trickbag data`: a dataset before it is trained on.

mod boxes;
mod check;
mod get;
mod info;
mod pack;

use anyhow::Result;

use crate::args::{Data, DataOf};

pub(crate) fn run(args: &Data) -> Result<()> {
    match &args.of {
        DataOf::Check(args) => check::run(args),
        DataOf::Info(args) => info::run(args),
        DataOf::Pack(args) => pack::run(args),
        DataOf::Get(args) => get::run(args),
    }
}
