mod figures;
mod page;
