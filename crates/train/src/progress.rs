//! The progress of a run on the screen: a bar on a terminal, a plain line every 30 seconds elsewhere.
//!
//! All output goes to standard error; an error in writing it is ignored. The time left is estimated from the
//! steps of this session alone, evaluations and waiting included: a resumed run must not count steps that it did not do.
//! The clock is an argument, so that tests need not wait.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{MeasureColumn, RanksRow, TrainRow, printable};

/// The time between two plain lines.
const INTERVAL: Duration = Duration::from_secs(30);

/// Shows how far a run is.
pub struct Progress {
    total_steps: u64,
    start_step: u64,
    steps_per_epoch: u64,
    started: Instant,
    clock: Clock,
    surface: Surface,
    /// The latest evaluation's headline in words: `top-1 71.50 %`.
    headline: Option<String>,
    /// The latest row, and whether it was shown.
    latest: Option<(TrainRow, bool)>,
}

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Instant + Send>;

/// The place where progress is shown.
pub enum Surface {
    Bar(ProgressBar),
    Lines { out: Box<dyn Write + Send>, last: Option<Instant> },
}

impl Progress {
    /// Progress from `start_step` to `total_steps` on standard error: a bar where that is a terminal, else plain lines.
    pub fn new(total_steps: u64, start_step: u64, steps_per_epoch: u64) -> Progress {
        let surface = Surface::bar(total_steps);
        Progress::on(surface, Box::new(Instant::now), total_steps, start_step, steps_per_epoch)
    }

    /// Progress on another surface, by another clock.
    pub fn on(
        surface: Surface,
        clock: Clock,
        total_steps: u64,
        start_step: u64,
        steps_per_epoch: u64,
    ) -> Progress {
        if let Surface::Bar(bar) = &surface {
            bar.set_position(start_step);
        }
        let (started, headline, latest) = (clock(), None, None);
        Progress {
            total_steps,
            start_step,
            steps_per_epoch,
            started,
            clock,
            surface,
            headline,
            latest,
        }
    }

    /// Takes a new row, and shows it where that is due. The row of the last step waits for the evaluation that follows it.
    pub fn step(&mut self, row: &TrainRow) {
        let now = (self.clock)();
        let due = match &self.surface {
            Surface::Bar(_) => true,
            Surface::Lines { .. } if row.step == self.total_steps => false,
            Surface::Lines { last, .. } => last.is_none_or(|last| now - last >= INTERVAL),
        };
        if due {
            self.show(row, now);
        }
        self.latest = Some((row.clone(), due));
    }

    /// Takes the headline of an evaluation, which stays until the next one.
    pub fn evaluated(&mut self, column: &MeasureColumn, value: f64) {
        self.headline = Some(column.say(value));
        if let (Surface::Bar(_), Some((_, shown))) = (&self.surface, &mut self.latest) {
            *shown = false;
        }
    }

    /// Prints a line that stays, above the bar.
    pub fn note(&mut self, text: &str) {
        let text = printable(text);
        match &mut self.surface {
            Surface::Bar(bar) => bar.println(text),
            Surface::Lines { out, .. } => print(out, &text),
        }
    }

    /// Leaves the last numbers on the screen, and what is printed next begins a line. The run may have stopped early.
    pub fn finish(&mut self) {
        if let Some((row, false)) = self.latest.take() {
            self.show(&row, (self.clock)());
        }
        if let Surface::Bar(bar) = &self.surface
            && !bar.is_finished()
        {
            bar.abandon();
            // The cursor stands behind the bar.
            if !bar.is_hidden() {
                print(&mut io::stderr(), "");
            }
        }
    }

    fn show(&mut self, row: &TrainRow, now: Instant) {
        let text = self.describe(row, now);
        match &mut self.surface {
            Surface::Bar(bar) => {
                bar.set_message(text);
                bar.set_position(row.step);
            }
            Surface::Lines { out, last } => {
                print(out, &format!("step {}/{}, {text}", row.step, self.total_steps));
                *last = Some(now);
            }
        }
    }

    fn describe(&self, row: &TrainRow, now: Instant) -> String {
        let epoch = |step| step as f64 / self.steps_per_epoch.max(1) as f64;
        let last = epoch(self.total_steps);
        let digits = if last.fract() == 0.0 { 0 } else { 2 };
        let headline = self.headline.as_ref().map_or(String::new(), |text| format!("{text}, "));
        let left = self.time_left(row.step, now).map_or("?".to_owned(), duration);
        let ranks = row.ranks.map_or(String::new(), |ranks| in_words(&ranks));
        // A narrow terminal cuts a bar's text at its end, so what people look for comes first.
        format!(
            "epoch {:.2}/{last:.digits$}, loss {:.4}, {headline}ETA {left}, {:.*} images/s, wait {:.1} %{ranks}, rate {:.5}",
            epoch(row.step),
            row.loss,
            if row.images_per_second < 100.0 { 1 } else { 0 },
            row.images_per_second,
            100.0 * row.wait_share,
            row.rate,
        )
    }

    /// The time that the remaining steps will take at the pace of the steps since `started`.
    fn time_left(&self, step: u64, now: Instant) -> Option<Duration> {
        let done = step.checked_sub(self.start_step).filter(|&done| done > 0)?;
        let to_do = self.total_steps.saturating_sub(step);
        let seconds = (now - self.started).as_secs_f64() * to_do as f64 / done as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Surface {
    /// A bar on standard error, or plain lines where that is no terminal: there a bar would swallow all notes.
    pub fn bar(total_steps: u64) -> Surface {
        let bar = ProgressBar::with_draw_target(Some(total_steps), ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            return Surface::lines();
        }
        let style = ProgressStyle::with_template("{bar:10} {pos}/{len} {wide_msg}")
            .expect("the template is a constant");
        Surface::Bar(bar.with_style(style))
    }

    /// Plain lines on standard error.
    pub fn lines() -> Surface {
        Surface::Lines { out: Box::new(io::stderr()), last: None }
    }
}

/// The ranks' waiting for each other, and how much longer than the middle one the slowest works, where that is worth a look.
fn in_words(ranks: &RanksRow) -> String {
    let wait = format!(", ranks wait {:.1} %", 100.0 * ranks.wait_share);
    let slower = ranks.slowest_seconds / ranks.median_seconds - 1.0;
    match slower > 0.1 {
        true => format!("{wait}, rank {} is {:.0} % slower", ranks.slowest, 100.0 * slower),
        false => wait,
    }
}

/// Prints a line in one write, so that lines of several processes do not mix. A failure is ignored: nobody reads any more.
fn print(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
}

/// A duration in its two largest units, which are enough to plan by: `2 d 03 h`, `1 h 05 min`, `3 min 20 s`, `7 s`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _, _) => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{MeasureColumns, Unit};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    /// A clock that a test turns, and a page of lines that it reads.
    #[derive(Clone, Default)]
    struct Desk {
        seconds: Arc<AtomicU64>,
        page: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Desk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.page.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Desk {
        fn clock(&self) -> Clock {
            let (seconds, zero) = (self.seconds.clone(), Instant::now());
            Box::new(move || zero + Duration::from_secs(seconds.load(Ordering::Relaxed)))
        }

        fn surface(&self) -> Surface {
            Surface::Lines { out: Box::new(self.clone()), last: None }
        }

        fn at(&self, seconds: u64) {
            self.seconds.store(seconds, Ordering::Relaxed);
        }

        fn lines(&self) -> Vec<String> {
            let page = self.page.lock().unwrap();
            str::from_utf8(&page).unwrap().lines().map(str::to_owned).collect()
        }
    }

    fn row(step: u64, images_per_second: f64) -> TrainRow {
        TrainRow {
            step,
            loss: 1.5,
            rate: 0.1,
            images_per_second,
            wait_share: 0.031,
            ..TrainRow::default()
        }
    }

    #[test]
    fn a_line_after_the_first_step_then_each_thirty_seconds_and_at_the_end() {
        let desk = Desk::default();
        let measure = MeasureColumns::classification();
        let mut progress = Progress::on(desk.surface(), desk.clock(), 1000, 0, 100);
        for (seconds, step) in [(2, 1), (31, 15), (32, 16), (61, 30), (62, 31), (63, 32)] {
            desk.at(seconds);
            if step > 20 {
                progress.evaluated(measure.headline(), 71.5);
            }
            progress.step(&row(step, 99.96));
        }
        progress.note("saved");
        progress.finish();
        progress.finish();
        assert_eq!(
            desk.lines(),
            [
                "step 1/1000, epoch 0.01/10, loss 1.5000, ETA 33 min 18 s, 100.0 images/s, wait 3.1 %, rate 0.10000",
                "step 16/1000, epoch 0.16/10, loss 1.5000, ETA 32 min 48 s, 100.0 images/s, wait 3.1 %, rate 0.10000",
                "step 31/1000, epoch 0.31/10, loss 1.5000, top-1 71.50 %, ETA 32 min 18 s, 100.0 images/s, wait 3.1 %, rate 0.10000",
                "saved",
                "step 32/1000, epoch 0.32/10, loss 1.5000, top-1 71.50 %, ETA 31 min 46 s, 100.0 images/s, wait 3.1 %, rate 0.10000",
            ]
        );
    }

    #[test]
    fn a_resumed_run_counts_its_own_steps_only() {
        let desk = Desk::default();
        let mut progress = Progress::on(desk.surface(), desk.clock(), 1000, 900, 100);
        desk.at(10);
        progress.evaluated(MeasureColumns::classification().headline(), 50.0);
        progress.step(&row(901, 10.0));
        desk.at(60);
        // The accuracy of an earlier step stays.
        let strange = TrainRow { loss: f64::NAN, rate: 1e-5, ..row(910, 1234.5) };
        progress.step(&strange);
        let lines = desk.lines();
        assert!(lines[0].contains("ETA 16 min 30 s, "), "{lines:?}");
        assert!(lines[1].contains("loss NaN, "), "{lines:?}");
        assert!(lines[1].contains("top-1 50.00 %, ETA 9 min 00 s, 1234 images/s, "), "{lines:?}");
        assert!(lines[1].ends_with("rate 0.00001"), "{lines:?}");
    }

    #[test]
    fn ranks_that_wait_for_each_other_and_a_slow_one_are_told() {
        let even = RanksRow {
            ranks: 4,
            slowest: 3,
            slowest_seconds: 0.105,
            median_seconds: 0.1,
            wait_share: 0.125,
            bytes: 9,
        };
        assert_eq!(in_words(&even), ", ranks wait 12.5 %");
        let uneven = RanksRow { slowest_seconds: 0.15, ..even };
        assert_eq!(in_words(&uneven), ", ranks wait 12.5 %, rank 3 is 50 % slower");
        let desk = Desk::default();
        let mut progress = Progress::on(desk.surface(), desk.clock(), 10, 0, 1);
        progress.step(&TrainRow { ranks: Some(even), ..row(1, 10.0) });
        assert!(
            desk.lines()[0].contains("wait 3.1 %, ranks wait 12.5 %, rate"),
            "{:?}",
            desk.lines()
        );
    }

    #[test]
    fn a_bar_holds_the_same() {
        let desk = Desk::default();
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::hidden());
        let mut progress = Progress::on(Surface::Bar(bar.clone()), desk.clock(), 100, 40, 10);
        assert_eq!(bar.position(), 40);
        desk.at(10);
        let half = TrainRow { loss: 1.0, rate: 0.5, wait_share: 0.5, ..row(50, 10.0) };
        progress.step(&half);
        progress.note("hello");
        assert_eq!(bar.position(), 50);
        assert_eq!(
            bar.message(),
            "epoch 5.00/10, loss 1.0000, ETA 50 s, 10.0 images/s, wait 50.0 %, rate 0.50000"
        );
        progress.finish();
        assert!(bar.is_finished());
        assert_eq!(bar.position(), 50);
    }

    #[test]
    fn the_last_line_has_the_last_evaluation_and_an_odd_number_of_epochs() {
        let desk = Desk::default();
        let measure = MeasureColumns::classification();
        let mut progress = Progress::on(desk.surface(), desk.clock(), 10, 0, 7);
        progress.evaluated(measure.headline(), 50.0);
        for (seconds, step) in [(1, 5), (40, 10)] {
            desk.at(seconds);
            progress.step(&row(step, 10.0));
        }
        progress.evaluated(measure.headline(), 75.0);
        progress.finish();
        let lines = desk.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("step 5/10, epoch 0.71/1.43, "), "{lines:?}");
        assert!(lines[1].starts_with("step 10/10, epoch 1.43/1.43, "), "{lines:?}");
        assert!(lines[1].contains("top-1 75.00 %, ETA 0 s"), "{lines:?}");
    }

    #[test]
    fn a_note_is_one_line_and_steers_no_terminal() {
        let desk = Desk::default();
        let mut progress = Progress::on(desk.surface(), desk.clock(), 10, 0, 7);
        progress.note("skipped a\nb\u{1b}[31m\u{202e}.jpg");
        assert_eq!(desk.lines(), [r"skipped a\nb\u{1b}[31m\u{202e}.jpg"]);
    }

    #[test]
    fn a_reader_that_went_away_is_ignored() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let surface = Surface::Lines { out: Box::new(Closed), last: None };
        let mut progress = Progress::on(surface, Box::new(Instant::now), 10, 0, 1);
        progress.step(&row(1, 1.0));
        progress.note("hello");
        progress.finish();
    }

    #[test]
    fn strange_numbers_do_not_panic() {
        let desk = Desk::default();
        let other = MeasureColumn::new("distance", "distance", Unit::Plain);
        let mut progress = Progress::on(desk.surface(), desk.clock(), 0, 5, 0);
        for step in [5, 3, 6] {
            let loss = f64::INFINITY;
            let row = TrainRow { loss, rate: f64::NAN, wait_share: f64::NAN, ..row(step, loss) };
            progress.evaluated(&other, f64::NAN);
            progress.step(&row);
        }
        progress.finish();
        assert!(desk.lines()[0].contains("loss inf, distance NaN, ETA ?, "), "{:?}", desk.lines());
    }

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (0.2, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (3599.0, "59 min 59 s"),
            (3900.0, "1 h 05 min"),
            (86_399.0, "23 h 59 min"),
            (183_600.0, "2 d 03 h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }
}
