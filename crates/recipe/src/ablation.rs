//! A table at a preset's scale: which recipes to run, and in what order.

use crate::mistake::RecipeErrors;
use crate::presets::Preset;
use crate::schedule::initial_rate;
use crate::tables::{Cell, Table, TableError};
use crate::types::Recipe;

/// The runs of a table at one scale.
#[derive(Clone, Debug)]
pub struct Ablation {
    pub table: Table,
    pub preset: Preset,
    /// The whole table; teachers come before those they teach.
    pub cells: Vec<Planned>,
    /// The cells that were asked for but have a network without a stand-in in this preset.
    pub left_out: Vec<String>,
}

/// A cell of the table at the preset's scale.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The name of the cell and of its folder: `warmup`, `bs1024.warmup`.
    pub name: String,
    /// `Table 4, BS=1024, + LR warmup`.
    pub title: String,
    pub column: usize,
    pub row: usize,
    /// Whether it will run, because it was asked for or because such a cell needs it.
    pub chosen: bool,
    /// The recipe. Its seed, and the teacher of a row that is taught, are set for each run.
    pub recipe: Recipe,
    /// The index of the cell that teaches this one.
    pub teacher: Option<usize>,
    /// Whether it is only there to teach. It then runs with the first seed alone.
    pub teaches: bool,
    /// The index of an earlier cell that is the very same run.
    pub same_as: Option<usize>,
}

/// Why an ablation cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AblationError {
    #[error(transparent)]
    Name(#[from] TableError),

    #[error(transparent)]
    Recipe(#[from] RecipeErrors),

    #[error("preset {preset} has no stand-in for any network of {table} here: {}; choose other columns or another preset", left_out.join(", "))]
    NothingToRun { preset: String, table: String, left_out: Vec<String> },
}

impl Ablation {
    /// Plans a table: the given rows and columns, or all if none are given, and the teachers they need.
    pub fn new(
        table: Table,
        preset: Preset,
        rows: &[String],
        columns: &[String],
        known_models: &[String],
    ) -> Result<Ablation, AblationError> {
        let rows = indices(rows, |name| table.find_row(name))?;
        let columns = indices(columns, |name| table.find_column(name))?;
        let is_chosen = |cell: &Cell| {
            let listed = |indices: &[usize], index| indices.is_empty() || indices.contains(&index);
            let teaches = table.rows[cell.row].teaches;
            listed(&columns, cell.column)
                && if teaches { rows.contains(&cell.row) } else { listed(&rows, cell.row) }
        };
        let (mut cells, mut chosen, mut left_out) = (Vec::<Planned>::new(), Vec::new(), Vec::new());
        for cell in table.cells() {
            // A teacher has another network, and both need a stand-in.
            let teachers = cell.teacher().map(|teacher| scaled(&teacher, &preset, known_models));
            let teachers = teachers.transpose()?;
            match scaled(&cell, &preset, known_models)? {
                Some(recipe) if !matches!(teachers, Some(None)) => {
                    cells.push(planned(&cells, &cell, recipe));
                    chosen.push(is_chosen(&cell));
                }
                _ if is_chosen(&cell) => left_out.push(cell.short_name()),
                _ => {}
            }
        }
        // Adds the cells that chosen ones need. They come earlier in the list, so this goes backwards.
        for index in (0..cells.len()).rev().filter(|&index| chosen[index]).collect::<Vec<_>>() {
            let Planned { same_as, teacher, .. } = cells[index];
            same_as.into_iter().chain(teacher).for_each(|needed| chosen[needed] = true);
        }
        cells.iter_mut().zip(chosen).for_each(|(cell, chosen)| cell.chosen = chosen);
        if !cells.iter().any(|cell| cell.chosen) {
            let (preset, table) = (preset.name.to_owned(), table.name.to_owned());
            return Err(AblationError::NothingToRun { preset, table, left_out });
        }
        Ok(Ablation { table: table.clone(), preset, cells, left_out })
    }

    /// The cell at a place of the table, or the earlier one that is the same run.
    pub fn cell(&self, column: usize, row: usize) -> Option<&Planned> {
        let found = self.cells.iter().find(|cell| (cell.column, cell.row) == (column, row))?;
        Some(found.same_as.map_or(found, |index| &self.cells[index]))
    }
}

fn indices(
    names: &[String],
    find: impl Fn(&str) -> Result<usize, TableError>,
) -> Result<Vec<usize>, TableError> {
    names.iter().map(|name| find(name)).collect()
}

/// The cell's recipe at the preset's scale; `None` if nothing stands in for its network.
fn scaled(
    cell: &Cell,
    preset: &Preset,
    known_models: &[String],
) -> Result<Option<Recipe>, RecipeErrors> {
    let model = cell.recipe(&[], known_models)?.network.model;
    let Some(edits) = preset.edits(&model) else { return Ok(None) };
    let mut recipe = cell.recipe(&edits, known_models)?;
    preset.shrink(&mut recipe);
    Ok(Some(recipe))
}

/// Plans a cell, given those before it.
fn planned(before: &[Planned], cell: &Cell, recipe: Recipe) -> Planned {
    let teacher = cell.teacher().map(|teacher| {
        let place = (teacher.column, teacher.row);
        let index = before.iter().position(|other| (other.column, other.row) == place);
        let index = index.expect("a teacher stands above its students");
        before[index].same_as.unwrap_or(index)
    });
    let same = |other: &Planned| {
        other.teacher == teacher && other.same_as.is_none() && same_run(&other.recipe, &recipe)
    };
    Planned {
        name: cell.short_name(),
        title: cell.title(),
        column: cell.column,
        row: cell.row,
        chosen: false,
        teacher,
        teaches: cell.table.rows[cell.row].teaches,
        same_as: before.iter().position(same),
        recipe,
    }
}

/// Whether two recipes are the same run: they differ in nothing but their names and a linear scaling by 1.
fn same_run(a: &Recipe, b: &Recipe) -> bool {
    let essence = |recipe: &Recipe| {
        let mut recipe = recipe.clone();
        recipe.name.clear();
        if let Some(distillation) = &mut recipe.distillation {
            distillation.teacher.clear();
        }
        recipe.rate.base = initial_rate(&recipe);
        recipe.rate.linear_scaling = None;
        recipe
    };
    essence(a) == essence(b)
}
