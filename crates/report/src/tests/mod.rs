mod figures;
mod gallery;
mod page;
