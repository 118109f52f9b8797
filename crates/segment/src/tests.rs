//! Whole runs on images that the tests make, and torchvision's numbers.

mod pytorch;
mod runs;
mod scales;
