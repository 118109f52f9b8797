//! Values as messages between ranks, and lists of which every rank holds a piece.

use serde::Serialize;
use serde::de::DeserializeOwned;
use world::World;

use crate::error::TrainError;

/// A value as the bytes of a message.
pub(crate) fn written(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("messages are plain data")
}

/// The value of a message from `rank`.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], rank: usize) -> Result<T, TrainError> {
    postcard::from_bytes(bytes).map_err(|_| TrainError::Message { rank })
}

/// Joins the pieces of all ranks into one list, in the order of the ranks.
pub(crate) fn gathered<T: Serialize + DeserializeOwned>(
    own: &[T],
    world: &mut World,
) -> Result<Vec<T>, TrainError> {
    let mut all = Vec::new();
    for (rank, bytes) in world.gather(written(&own))?.into_iter().enumerate() {
        all.extend(read::<Vec<T>>(&bytes, rank)?);
    }
    Ok(all)
}
