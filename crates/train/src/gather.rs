//! Joining lists of which every rank holds a piece.

use serde::Serialize;
use serde::de::DeserializeOwned;
use world::World;

use crate::error::TrainError;

/// Joins the pieces of all ranks into one list, in the order of the ranks.
pub(crate) fn gathered<T: Serialize + DeserializeOwned>(
    own: &[T],
    world: &mut World,
) -> Result<Vec<T>, TrainError> {
    let bytes = postcard::to_stdvec(own).expect("lists are plain data");
    let mut all = Vec::new();
    for (rank, bytes) in world.gather(bytes)?.into_iter().enumerate() {
        let piece: Vec<T> =
            postcard::from_bytes(&bytes).map_err(|_| TrainError::Message { rank })?;
        all.extend(piece);
    }
    Ok(all)
}
