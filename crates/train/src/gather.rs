//! Lists that all ranks hold a piece of.

use serde::Serialize;
use serde::de::DeserializeOwned;
use world::World;

use crate::error::TrainError;

/// The pieces of all ranks, one behind the other in the order of ranks.
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
