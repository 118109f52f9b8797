//! The logs of a run folder: `metrics.jsonl`, `metrics.csv` and TensorBoard events, all with the same rows.
//!
//! Each row goes to the operating system at once, so a kill loses none, and is in a file whole or not at all, even when
//! the disk is full. [`RunLog::open`] cuts the files back to the step that a run goes on from, and drops rows that
//! cannot be read, such as the half row that a power cut may leave: a resumed run leaves the same rows as one that was never interrupted. Nothing here
//! reads a clock.

pub mod bad_samples;
mod csv;
mod events;
pub mod verify;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use record::{EvaluationRow, MeasureColumns, TrainRow, names};

use crate::durable::{self, WriteError};

/// Why a log could not be opened or written, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "{} does not begin as trickbag writes it; move it away and run again with --resume",
        path.display()
    )]
    Foreign { path: PathBuf },
}

/// The three open logs of a run.
#[derive(Debug)]
pub struct RunLog {
    measure: MeasureColumns,
    jsonl: Rows,
    csv: Rows,
    events: Rows,
    /// Seconds since 1970.
    start: f64,
}

impl RunLog {
    /// Opens the logs in `folder`, new or cut back to the rows with `step <= last_step`. Evaluations have the columns of
    /// `measure`. TensorBoard's time of a row is `start` plus the row's `seconds`: for a resumed run, `start` is now minus
    /// the seconds of work already done.
    pub fn open(
        folder: &Path,
        measure: MeasureColumns,
        last_step: u64,
        start: SystemTime,
    ) -> Result<RunLog, LogError> {
        let start = start.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        durable::create_folder(folder)?;
        let open = |name, head: &[u8], whole: &dyn Fn(&[u8]) -> Result<Kept, Foreign>| {
            Rows::open(folder.join(name), head, whole)
        };
        let csv_head = csv::head(&measure);
        let log = RunLog {
            jsonl: open(names::METRICS_JSONL, &[], &|bytes| Ok(whole_json(bytes, last_step)))?,
            csv: open(names::METRICS_CSV, csv_head.as_bytes(), &|bytes| {
                csv::whole(bytes, &csv_head, last_step)
            })?,
            events: open(names::EVENTS, &events::head(start), &|bytes| {
                events::whole(bytes, last_step).map(Kept::First)
            })?,
            measure,
            start,
        };
        durable::sync_folder(folder).map_err(|cause| WriteError::new(folder, cause))?;
        Ok(log)
    }

    pub fn train(&mut self, row: &TrainRow) -> Result<(), LogError> {
        self.jsonl.append(row.to_line().as_bytes())?;
        self.csv.append(csv::train(row, &self.measure).as_bytes())?;
        self.events.append(&events::train(row, self.start))
    }

    pub fn evaluation(&mut self, row: &EvaluationRow) -> Result<(), LogError> {
        self.jsonl.append(row.to_line(&self.measure).as_bytes())?;
        self.csv.append(csv::evaluation(row, &self.measure).as_bytes())?;
        self.events.append(&events::evaluation(row, &self.measure, self.start))
    }

    /// What was dropped when the logs were opened, each remark a sentence.
    pub fn remarks(&self) -> Vec<String> {
        let dropped = [&self.jsonl, &self.csv].into_iter().filter(|rows| rows.dropped > 0);
        let remark = |rows: &Rows| {
            let lines = if rows.dropped == 1 { "line" } else { "lines" };
            let path = rows.path.display();
            format!("{} {lines} of {path} could not be read, so left out", rows.dropped)
        };
        dropped.map(remark).collect()
    }

    /// Makes all rows so far durable. Called before a checkpoint is saved, so that a run that goes on from it finds them.
    pub fn sync(&mut self) -> Result<(), LogError> {
        [&self.jsonl, &self.csv, &self.events].into_iter().try_for_each(Rows::sync)
    }
}

/// What stays of a log when it is opened.
#[derive(Debug, PartialEq)]
enum Kept {
    /// Its first bytes.
    First(usize),
    /// These rows, because others between them cannot be read or come too early.
    Rows { bytes: Vec<u8>, dropped: usize },
}

/// A log that somebody else wrote.
#[derive(Debug, PartialEq)]
struct Foreign;

/// A file that grows by whole rows.
#[derive(Debug)]
struct Rows {
    path: PathBuf,
    file: File,
    length: u64,
    /// The lines that could not be read and were left out.
    dropped: usize,
}

impl Rows {
    /// Opens a file and cuts it to what `whole` finds in its bytes; an empty one begins with `head`.
    fn open(
        path: PathBuf,
        head: &[u8],
        whole: &dyn Fn(&[u8]) -> Result<Kept, Foreign>,
    ) -> Result<Rows, LogError> {
        let failed = |cause| WriteError::new(&path, cause);
        let bytes = match std::fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed)?,
        };
        let (length, dropped) = match whole(&bytes) {
            Ok(Kept::First(length)) => (length, 0),
            Ok(Kept::Rows { bytes, dropped }) => {
                durable::write(&path, &bytes)?;
                (bytes.len(), dropped)
            }
            Err(Foreign) => return Err(LogError::Foreign { path }),
        };
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        let mut rows = Rows { path, file, length: length as u64, dropped };
        rows.cut().map_err(|cause| WriteError::new(&rows.path, cause))?;
        if rows.length == 0 {
            rows.append(head)?;
        }
        Ok(rows)
    }

    fn append(&mut self, row: &[u8]) -> Result<(), LogError> {
        match self.file.write_all(row) {
            Ok(()) => {
                self.length += row.len() as u64;
                Ok(())
            }
            Err(cause) => {
                // A full disk may hold a part of the row. Where cutting it off fails too, opening drops it.
                let _ = self.cut();
                Err(WriteError::new(&self.path, cause).into())
            }
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|cause| WriteError::new(&self.path, cause).into())
    }
}

/// The lines of JSON that are whole and have `step <= last_step`.
fn whole_json(bytes: &[u8], last_step: u64) -> Kept {
    whole_lines(bytes, 0, last_step, record::step_of)
}

/// The lines from `begin` on that are whole and have `step <= last_step`, and all before them. `step` reads the step of a
/// line and gives None where it cannot. Steps never fall, so a line that comes too early is of another process.
fn whole_lines(
    bytes: &[u8],
    begin: usize,
    last_step: u64,
    step: impl Fn(&str) -> Option<u64>,
) -> Kept {
    let mut rows = bytes[..begin].to_vec();
    let (mut position, mut end, mut reached) = (begin, begin, 0);
    let (mut unreadable, mut dropped) = (0, 0);
    for line in bytes[begin..].split_inclusive(|&byte| byte == b'\n') {
        position += line.len();
        let text = line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok());
        match text.and_then(&step) {
            Some(step) if step <= last_step && step >= reached => {
                rows.extend_from_slice(line);
                (end, reached) = (position, step);
                dropped += std::mem::take(&mut unreadable);
            }
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    if rows.len() == end { Kept::First(end) } else { Kept::Rows { bytes: rows, dropped } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::names::{EVENTS, METRICS_CSV as CSV, METRICS_JSONL as JSONL};
    use record::{Better, MeasureColumn, Unit};
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    /// Opens the logs of a classifier's run.
    fn open(folder: &Path, last_step: u64) -> Result<RunLog, LogError> {
        RunLog::open(folder, MeasureColumns::classification(), last_step, start())
    }

    fn start() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn write(log: &mut RunLog, steps: std::ops::RangeInclusive<u64>) {
        for step in steps {
            let (epoch, seconds) = (step as f64 / 2.0, step as f64 * 1.5);
            let loss = 1.0 / step as f64;
            let row = TrainRow {
                step,
                epoch,
                loss,
                rate: 0.1,
                images_per_second: 33.5,
                wait_share: 0.25,
                seconds,
                ..TrainRow::default()
            };
            log.train(&row).unwrap();
            if step % 2 == 0 {
                let values = vec![loss, 50.0 + step as f64, 90.0, 1000.0];
                log.evaluation(&EvaluationRow { step, epoch, values, seconds }).unwrap();
            }
        }
        log.sync().unwrap();
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read(path).unwrap())
            })
            .collect()
    }

    /// The files of a run of `steps` that nothing interrupted.
    fn uninterrupted(steps: u64) -> BTreeMap<String, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        write(&mut open(folder.path(), 0).unwrap(), 1..=steps);
        files(folder.path())
    }

    #[test]
    fn text_logs_read_as_documented() {
        let files = uninterrupted(2);
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, [EVENTS, CSV, JSONL]);
        assert_eq!(
            str::from_utf8(&files[JSONL]).unwrap(),
            concat!(
                r#"{"kind":"train","step":1,"epoch":0.5,"loss":1.0,"rate":0.1,"#,
                r#""images_per_second":33.5,"wait_share":0.25,"seconds":1.5}"#,
                "\n",
                r#"{"kind":"train","step":2,"epoch":1.0,"loss":0.5,"rate":0.1,"#,
                r#""images_per_second":33.5,"wait_share":0.25,"seconds":3.0}"#,
                "\n",
                r#"{"kind":"evaluation","step":2,"epoch":1.0,"loss":0.5,"top1":52.0,"top5":90.0,"#,
                r#""images":1000,"seconds":3.0}"#,
                "\n",
            )
        );
        assert_eq!(
            str::from_utf8(&files[CSV]).unwrap(),
            "step,epoch,kind,loss,rate,top1,top5,images,images_per_second,wait_share,seconds,\
             gradient_norm,loss_scale,skipped,terms\n\
             1,0.5,train,1,0.1,,,,33.5,0.25,1.5,,,,\n\
             2,1,train,0.5,0.1,,,,33.5,0.25,3,,,,\n\
             2,1,evaluation,0.5,,52,90,1000,,,3,,,,\n"
        );
    }

    #[test]
    fn logs_have_the_columns_of_the_task_and_the_parts_of_its_loss() {
        let columns = vec![
            MeasureColumn::new("map", "mAP", Unit::Percent),
            MeasureColumn::new("images", "images", Unit::Count),
        ];
        let measure = MeasureColumns::new("map", Better::Higher, columns);
        let folder = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(folder.path(), measure.clone(), 0, start()).unwrap();
        let row = TrainRow {
            step: 1,
            loss: 1.5,
            gradient_norm: Some(2.5),
            terms: vec![("class".to_owned(), 1.0), ("box".to_owned(), 0.5)],
            loss_scale: Some(1024.0),
            skipped: 3,
            ..TrainRow::default()
        };
        log.train(&row).unwrap();
        let values = vec![41.25, 4952.0];
        log.evaluation(&EvaluationRow { step: 1, epoch: 0.5, values, seconds: 2.0 }).unwrap();
        drop(log);
        let csv = fs::read_to_string(folder.path().join(CSV)).unwrap();
        assert_eq!(
            csv,
            "step,epoch,kind,loss,rate,map,images,images_per_second,wait_share,seconds,\
             gradient_norm,loss_scale,skipped,terms\n\
             1,0,train,1.5,0,,,0,0,0,2.5,1024,3,class=1 box=0.5\n\
             1,0.5,evaluation,,,41.25,4952,,,2,,,,\n"
        );
        let jsonl = fs::read_to_string(folder.path().join(JSONL)).unwrap();
        assert!(
            jsonl.ends_with("\"epoch\":0.5,\"map\":41.25,\"images\":4952,\"seconds\":2.0}\n"),
            "{jsonl}"
        );
        let events = fs::read(folder.path().join(EVENTS)).unwrap();
        let events = String::from_utf8_lossy(&events);
        for tag in ["train/gradient_norm", "train/loss_scale", "train/terms/box", "validation/map"]
        {
            assert!(events.contains(tag), "{tag}");
        }
        assert!(!events.contains("validation/images"), "a count is no result");
        let before = files(folder.path());
        RunLog::open(folder.path(), measure, 1, start()).unwrap();
        assert_eq!(files(folder.path()), before);
        let error = open(folder.path(), 1).unwrap_err();
        assert!(matches!(error, LogError::Foreign { .. }), "{error}: the columns of another task");
    }

    #[test]
    fn a_resumed_run_leaves_the_files_of_an_uninterrupted_one() {
        let whole = uninterrupted(9);
        for last_step in 0..=9 {
            let folder = tempfile::tempdir().unwrap();
            write(&mut open(folder.path(), 0).unwrap(), 1..=9);
            let mut log = open(folder.path(), last_step).unwrap();
            assert_eq!(files(folder.path()), uninterrupted(last_step));
            write(&mut log, last_step + 1..=9);
            assert!(files(folder.path()) == whole, "resumed from {last_step}");
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_its_whole_rows() {
        type Whole<'a> = &'a dyn Fn(&[u8]) -> Result<Kept, Foreign>;
        let files = uninterrupted(4);
        let csv_head = csv::head(&MeasureColumns::classification());
        let readers: [(_, _, Whole); 3] = [
            (JSONL, 0, &|bytes| Ok(whole_json(bytes, 4))),
            (CSV, csv_head.len(), &|bytes| csv::whole(bytes, &csv_head, 4)),
            (EVENTS, events::head(0.0).len(), &|bytes| events::whole(bytes, 4).map(Kept::First)),
        ];
        for (name, head, whole) in readers {
            let bytes = &files[name];
            let mut kept = vec![];
            for length in 0..=bytes.len() {
                let Ok(Kept::First(found)) = whole(&bytes[..length]) else { panic!("{name}") };
                kept.push(found);
                assert!(kept[length] <= length, "{name} cut at {length}");
            }
            assert_eq!(kept[head], head);
            assert_eq!(kept[bytes.len()], bytes.len());
            assert!(kept.is_sorted());
            kept.dedup();
            // Nothing, the head if there is one, then one row more each time.
            assert_eq!(kept.len(), 1 + usize::from(head > 0) + 6, "{name}");
        }
    }

    #[test]
    fn half_a_row_at_the_end_is_dropped() {
        let whole = uninterrupted(4);
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &whole {
            fs::write(folder.path().join(name), &bytes[..bytes.len() - 3]).unwrap();
        }
        write(&mut open(folder.path(), 3).unwrap(), 4..=4);
        assert!(files(folder.path()) == whole);
    }

    #[test]
    fn a_missing_log_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut open(folder.path(), 0).unwrap(), 1..=4);
        fs::remove_file(folder.path().join(CSV)).unwrap();
        write(&mut open(folder.path(), 3).unwrap(), 4..=4);
        let csv = fs::read_to_string(folder.path().join(CSV)).unwrap();
        assert_eq!(csv.lines().count(), 3, "{csv}");
    }

    #[test]
    fn damage_before_rows_to_keep_is_left_out_and_told() {
        for name in [JSONL, CSV] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            write(&mut open(folder.path(), 0).unwrap(), 1..=4);
            let text = fs::read_to_string(&path).unwrap();
            let second = text.lines().position(|line| {
                line.starts_with("2,") || line.starts_with(r#"{"kind":"train","step":2"#)
            });
            let second = second.unwrap();
            // A row that another process tore, and one of its own of a step far ahead.
            let lines: Vec<&str> = text.lines().collect();
            let torn = format!("{}{}", &lines[second][..9], lines[second + 2]);
            let late = lines[lines.len() - 2];
            let damaged = [&lines[..second], &[&torn, late], &lines[second + 1..]].concat();
            fs::write(&path, damaged.join("\n") + "\n").unwrap();
            let log = open(folder.path(), 3).unwrap();
            let told = format!("1 line of {} could not be read, so left out", path.display());
            assert_eq!(log.remarks(), [told]);
            let kept = fs::read_to_string(&path).unwrap();
            let expected = [&lines[..second], &lines[second + 1..lines.len() - 2]].concat();
            assert_eq!(kept.lines().collect::<Vec<_>>(), expected, "{name}");
            drop(log);
            // Nothing is left to tell, and what is written next follows.
            let mut log = open(folder.path(), 3).unwrap();
            assert_eq!(log.remarks(), [] as [String; 0]);
            write(&mut log, 4..=4);
            let whole = fs::read_to_string(&path).unwrap();
            assert_eq!(whole.lines().count(), lines.len() - 1, "{name}");
        }
    }

    #[test]
    fn somebody_elses_files_are_left_alone() {
        for name in [CSV, EVENTS] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, "these,are,my,own,columns\n1,2,3,4,5\n").unwrap();
            let error = open(folder.path(), 4).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("move it away"), "{error}");
            assert!(fs::read_to_string(&path).unwrap().starts_with("these"));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut rows = Rows { path: JSONL.into(), file, length: 0, dropped: 0 };
        let error = rows.append(b"{}\n").unwrap_err().to_string();
        assert!(error.contains(JSONL) && error.contains("the disk is full"), "{error}");
        assert_eq!(rows.length, 0);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_break_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), 0).unwrap();
        let row = TrainRow {
            step: 1,
            epoch: 0.5,
            loss: f64::NAN,
            rate: f64::INFINITY,
            gradient_norm: Some(f64::NAN),
            images_per_second: 1.0,
            seconds: 1.0,
            ..TrainRow::default()
        };
        log.train(&row).unwrap();
        let files = files(folder.path());
        let line: serde_json::Value = serde_json::from_slice(&files[JSONL]).unwrap();
        assert!(["loss", "rate", "gradient_norm"].iter().all(|key| line[key].is_null()), "{line}");
        let csv = str::from_utf8(&files[CSV]).unwrap();
        assert!(csv.ends_with("\n1,0.5,train,NaN,inf,,,,1,0,1,NaN,,,\n"), "{csv}");
        open(folder.path(), 1).unwrap();
        assert_eq!(self::files(folder.path()), files);
    }
}
