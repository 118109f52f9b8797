//! The trained model that a command line names: that of a run's last step, or of its best evaluation.

use std::path::Path;

use anyhow::Result;
use classify::{Card, model_folder};
use nn::Model;
use record::names;
use zoo::Network;

use crate::output::{self, Usage};

/// Opens the model. Says so where the run that it is of had a better one.
pub(crate) fn read(path: &Path, best: bool) -> Result<(Model<Network>, Card)> {
    if best {
        if !path.join(names::RECIPE).is_file() {
            let shown = path.display();
            let text = format!(
                "--best takes the best checkpoint of a run, and {shown} is no run folder; leave --best out"
            );
            return Err(Usage(text).into());
        }
        return Ok(model_folder::read(&path.join(model_folder::BEST), &nn::cpu())?);
    }
    let read = model_folder::read(path, &nn::cpu())?;
    if let Some(found) = model_folder::better_than_last(path) {
        output::note(&format!(
            "note: this is the model of the run's last step, {}; its best evaluation, {:.2}, was at step {}: --best takes \
             that one",
            read.1.step, found.value, found.step
        ));
    }
    Ok(read)
}
