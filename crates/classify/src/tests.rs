//! Whole runs of a small network on the images inside the program.

mod ranks;
