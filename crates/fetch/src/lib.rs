//! PublishedSet weights and datasets over HTTP. A file is under its name when it is whole and its checksum is the expected
//! one, and not before: what is on its way has another name, and a later call goes on where an earlier one was cut off.
//!
//! Nothing here knows networks, tensors or formats of images.

mod catalogue;
mod checksum;
mod client;
mod dataset;
mod download;
mod error;
mod hub;
mod hub_name;
mod hub_settings;
mod lists;

pub use catalogue::{Laid, PublishedFile, PublishedSet, datasets, find};
pub use dataset::{Got, get};
pub use download::Transfer;
pub use error::FetchError;
pub use hub::{Snapshot, snapshot};
pub use hub_name::HubName;
pub use hub_settings::HubSettings;
