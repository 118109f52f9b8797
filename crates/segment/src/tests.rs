//! Whole runs on images that the tests make: training, resuming, ranks; and torchvision's vectors.
