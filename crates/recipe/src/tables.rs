//! The paper's tables as programs: a base recipe and named edits. `add` stacks an edit on the row above, `fork` on a row
//! further up, and a column of the table is an edit of all its rows.
//!
//! A row is a recipe, not a file: `trickbag recipes table6.mixup` prints it resolved.

mod edits;
pub mod published;
mod table1;
mod table2;
mod table3;
mod table4;
mod table5;
mod table6;
mod table7;
mod table8;
mod table9;

pub use self::edits::Edit;
pub use self::published::{Published, TableMeasure, published};

use crate::builtin::builtin;
use crate::mistake::{RecipeErrors, nearest};
use crate::parse::parse_with_edits;
use crate::types::Recipe;
use crate::write::to_toml;

/// A table of the paper whose rows are runs.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name of the table, such as `table6`.
    pub name: &'static str,
    pub title: &'static str,
    /// The title of the first column of the paper's table.
    pub of: &'static str,
    /// The built-in recipe that the edits start from.
    base: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<TableRow>,
}

/// A group of the table's columns: another network or batch.
#[derive(Clone, Debug)]
pub struct Column {
    /// Empty if the table has only one group.
    pub name: &'static str,
    /// The paper's title.
    pub title: &'static str,
    /// `None` if the paper cites numbers of others, whose recipes are not known.
    edits: Option<Vec<Edit>>,
}

/// A row of a table: edits of the base, or of another row.
#[derive(Clone, Debug)]
pub struct TableRow {
    pub name: &'static str,
    /// The paper's title.
    pub title: &'static str,
    /// The index of the row that this one adds to.
    pub from: Option<usize>,
    edits: Vec<Edit>,
    /// The index of the row whose model teaches this one (§5.3).
    pub teacher: Option<usize>,
    /// Whether this row is only there to teach, and is not in the paper's table.
    pub teaches: bool,
}

/// One row in one column, which is one recipe.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub table: &'a Table,
    pub column: usize,
    pub row: usize,
}

/// The error for a name that no table, row or column has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("no table is named {name:?}{}; there are {}", meant(nearest), known.join(", "))]
    Table { name: String, nearest: Option<String>, known: Vec<String> },

    #[error("{table} has no row {name:?}{}; its rows are {}", meant(nearest), known.join(", "))]
    Row { table: String, name: String, nearest: Option<String>, known: Vec<String> },

    #[error("{table} has no column {name:?}{}; its columns are {}", meant(nearest), known.join(", "))]
    Column { table: String, name: String, nearest: Option<String>, known: Vec<String> },
}

pub(crate) fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}

/// The tables of classification, in the paper's order.
pub fn all() -> Vec<Table> {
    vec![
        table1::table(),
        table2::table(),
        table3::table(),
        table4::table(),
        table5::table(),
        table6::table(),
        table7::table(),
    ]
}

/// The tables of other tasks (§6). Their rows are recipes, and no ablation runs them.
pub fn transfer() -> Vec<Table> {
    vec![table8::table(), table9::table()]
}

/// The table of this name.
pub fn find(name: &str) -> Result<Table, TableError> {
    let mut tables = [all(), transfer()].concat();
    match tables.iter().position(|table| table.name == name) {
        Some(index) => Ok(tables.swap_remove(index)),
        None => {
            let known: Vec<String> = tables.iter().map(|table| table.name.to_owned()).collect();
            let nearest = nearest(name, &known).map(str::to_owned);
            Err(TableError::Table { name: name.to_owned(), nearest, known })
        }
    }
}

/// The TOML of a row, such as `table6.mixup`, or in another column than the first `table6.mobilenet.mixup`; `None` if the
/// name does not begin like a table's.
pub fn toml(name: &str, known_models: &[String]) -> Option<Result<String, TableError>> {
    let (table, rest) = name.split_once('.')?;
    if table.ends_with(std::path::MAIN_SEPARATOR) || rest.contains(std::path::MAIN_SEPARATOR) {
        return None;
    }
    // `my.toml` is a file, but `tabel6.mixup` is a misspelt row.
    let tables = [all(), transfer()].concat();
    let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
    nearest(table, &names)?;
    Some(find(table).and_then(|table| Ok(table.cell(rest)?.toml(known_models))))
}

impl Table {
    fn new(name: &'static str, title: &'static str, of: &'static str, base: &'static str) -> Table {
        Table { name, title, of, base, columns: Vec::new(), rows: Vec::new() }
    }

    fn column(self, name: &'static str, title: &'static str, edits: &[Edit]) -> Table {
        self.with_column(name, title, Some(edits.to_vec()))
    }

    /// Adds a column of numbers that others reported.
    fn cited(self, name: &'static str, title: &'static str) -> Table {
        self.with_column(name, title, None)
    }

    fn with_column(
        mut self,
        name: &'static str,
        title: &'static str,
        edits: Option<Vec<Edit>>,
    ) -> Table {
        self.columns.push(Column { name, title, edits });
        self
    }

    /// Adds a row that edits the base.
    fn row(self, name: &'static str, title: &'static str, edits: &[Edit]) -> Table {
        self.with_row(name, title, None, edits)
    }

    /// Adds a row that edits the row above.
    fn add(self, name: &'static str, title: &'static str, edits: &[Edit]) -> Table {
        let above = self.rows.len() - 1;
        self.with_row(name, title, Some(above), edits)
    }

    /// Adds a row that edits a row further up.
    fn fork(
        self,
        from: &'static str,
        name: &'static str,
        title: &'static str,
        edits: &[Edit],
    ) -> Table {
        let from = self.index(from);
        self.with_row(name, title, Some(from), edits)
    }

    fn with_row(
        mut self,
        name: &'static str,
        title: &'static str,
        from: Option<usize>,
        edits: &[Edit],
    ) -> Table {
        let edits = edits.to_vec();
        self.rows.push(TableRow { name, title, from, edits, teacher: None, teaches: false });
        self
    }

    /// Makes the last row a teacher.
    fn teaches(mut self) -> Table {
        self.rows.last_mut().expect("a row").teaches = true;
        self
    }

    /// Makes `teacher` the teacher of the last row.
    fn taught_by(mut self, teacher: &'static str) -> Table {
        let teacher = self.index(teacher);
        self.rows.last_mut().expect("a row").teacher = Some(teacher);
        self
    }

    fn index(&self, name: &str) -> usize {
        let index = self.rows.iter().position(|row| row.name == name);
        index.unwrap_or_else(|| panic!("{} has no row {name}", self.name))
    }

    /// The number in its name.
    pub fn number(&self) -> &'static str {
        self.name.trim_start_matches("table")
    }

    /// The row of this name.
    pub fn find_row(&self, name: &str) -> Result<usize, TableError> {
        self.rows.iter().position(|row| row.name == name).ok_or_else(|| {
            let known: Vec<String> = self.rows.iter().map(|row| row.name.to_owned()).collect();
            let nearest = nearest(name, &known).map(str::to_owned);
            TableError::Row { table: self.name.into(), name: name.into(), nearest, known }
        })
    }

    /// The column of this name.
    pub fn find_column(&self, name: &str) -> Result<usize, TableError> {
        let runs = |column: &Column| column.edits.is_some();
        let found = self.columns.iter().position(|column| column.name == name && runs(column));
        found.ok_or_else(|| {
            let columns = self.columns.iter().filter(|column| runs(column));
            let known: Vec<String> = columns.map(|column| column.name.to_owned()).collect();
            let nearest = nearest(name, &known).map(str::to_owned);
            TableError::Column { table: self.name.into(), name: name.into(), nearest, known }
        })
    }

    /// Every cell with a recipe, column by column.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        let columns =
            (0..self.columns.len()).filter(|&column| self.columns[column].edits.is_some());
        columns.flat_map(move |column| {
            (0..self.rows.len()).map(move |row| Cell { table: self, column, row })
        })
    }

    /// `ROW` in the first column, or `COLUMN.ROW`.
    fn cell(&self, name: &str) -> Result<Cell<'_>, TableError> {
        let (column, row) = match name.split_once('.') {
            Some((column, row)) => (self.find_column(column)?, row),
            None => (0, name),
        };
        Ok(Cell { table: self, column, row: self.find_row(row)? })
    }
}

impl Cell<'_> {
    /// `ROW` in the first column, else `COLUMN.ROW`.
    pub fn short_name(&self) -> String {
        let row = self.table.rows[self.row].name;
        match self.column {
            0 => row.to_owned(),
            column => format!("{}.{row}", self.table.columns[column].name),
        }
    }

    /// The name that `trickbag recipes` takes.
    pub fn name(&self) -> String {
        format!("{}.{}", self.table.name, self.short_name())
    }

    /// The title for people: `Table 4, BS=1024, + LR warmup`.
    pub fn title(&self) -> String {
        let column = match self.table.columns[self.column].title {
            "" => String::new(),
            title => format!("{title}, "),
        };
        format!("Table {}, {column}{}", self.table.number(), self.table.rows[self.row].title)
    }

    /// The named edits from the base to here.
    pub fn steps(&self) -> Vec<Edit> {
        let mut lineage = vec![self.row];
        while let Some(from) = self.table.rows[lineage[lineage.len() - 1]].from {
            lineage.push(from);
        }
        let column = self.table.columns[self.column].edits.iter().flatten().copied();
        let rows = lineage.iter().rev().flat_map(|&row| &self.table.rows[row].edits);
        column.chain(rows.copied()).collect()
    }

    /// The cell that teaches this one.
    pub fn teacher(&self) -> Option<Cell<'_>> {
        let row = self.table.rows[self.row].teacher?;
        Some(Cell { row, ..*self })
    }

    /// All edits of the base recipe, in the form that `--set` takes.
    pub(crate) fn edits(&self) -> Vec<String> {
        let steps = self.steps();
        let mut edits = vec![format!("name={}", self.name())];
        edits.extend(steps.iter().flat_map(|edit| edit.keys).map(|key| (*key).to_owned()));
        if let Some(teacher) = self.teacher() {
            edits.push(format!("distillation.teacher=runs/{}", teacher.name()));
        }
        edits
    }

    pub(crate) fn base(&self) -> &'static str {
        builtin(self.table.base).expect("the base of a table is a built-in recipe")
    }

    /// The recipe with the paper's hyper-parameters for ImageNet, after the further edits `more`.
    pub fn recipe(&self, more: &[String], known_models: &[String]) -> Result<Recipe, RecipeErrors> {
        let edits = [self.edits(), more.to_vec()].concat();
        parse_with_edits(self.base(), &self.name(), &edits, known_models)
    }

    /// The recipe as TOML, below a comment that says what it is and which numbers the paper has for it.
    ///
    /// # Panics
    /// When a network of the paper is not among the known ones.
    pub fn toml(&self, known_models: &[String]) -> String {
        let recipe = self.recipe(&[], known_models).expect("the rows of the paper are recipes");
        let steps: Vec<&str> = self.steps().iter().map(|edit| edit.name).collect();
        let numbers: Vec<String> = self.published().iter().map(Published::to_string).collect();
        let published = match numbers.is_empty() {
            true => "not published".to_owned(),
            false => numbers.join(", "),
        };
        let steps =
            if steps.is_empty() { String::new() } else { format!(" + {}", steps.join(" + ")) };
        format!(
            "# {}. Published: {published}.\n# {}{steps}\n{}",
            self.title(),
            self.table.base,
            to_toml(&recipe)
        )
    }

    /// The paper's numbers.
    pub fn published(&self) -> Vec<Published> {
        let title = self.table.columns[self.column].title;
        published(self.table.name, self.table.rows[self.row].title, title)
    }
}
