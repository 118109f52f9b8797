//! The threads behind a loader.
//!
//! One thread makes batches in order and hands them over through a short queue; for the images of a batch it is
//! joined by helpers, each taking the next image that nobody has begun. An image's place in the batch and its random
//! numbers are fixed before any thread sees it, so batches do not depend on how many threads there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::augment::{Sample, Scratch};
use crate::budget::{Budget, Resources, Room, augmenting};
use crate::dataset::ReadScratch;
use crate::{Batch, DataError, Part, Skipped, Times};

/// Batches that wait, finished, to be taken.
const QUEUE: usize = 1;
/// Images for each worker between two meetings of the workers: a meeting costs the time of about one image.
const IMAGES_BETWEEN_MEETINGS: usize = 8;

/// What a loader makes of the images of a part.
pub(crate) trait Task: Send + Sync + 'static {
    fn part(&self) -> &Part;
    /// Images of a batch.
    fn batch(&self) -> usize;
    /// Values of one image.
    fn values(&self) -> usize;
    /// The images of the next batch; nothing at the end.
    fn next_batch(&self, position: &mut Position) -> Option<Vec<u32>>;
    /// What is made of an image of width × height.
    fn sample(&self, epoch: u64, index: u32, width: usize, height: usize) -> Sample;
    /// The images to try in the place of one that does not decode, in this order; without any, it is an error.
    fn stand_ins(&self, _epoch: u64, _index: u32) -> Vec<u32> {
        Vec::new()
    }
}

/// Where a loader is.
#[derive(Debug, Default)]
pub(crate) struct Position {
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    /// The order of the epoch.
    pub(crate) order: Vec<u32>,
}

/// What a worker uses again for every image.
#[derive(Debug, Default)]
struct Memory {
    read: ReadScratch,
    augment: Scratch,
}

impl Memory {
    /// Gives all memory back; what was measured stays.
    fn forget(&mut self) {
        let Memory { read, augment } = self;
        let times = (read.times, augment.times);
        *self = Memory::default();
        (self.read.times, self.augment.times) = times;
    }
}

/// Images of a round: enough to keep so many workers busy between two meetings.
fn enough(workers: usize) -> usize {
    if workers == 1 { 1 } else { workers * IMAGES_BETWEEN_MEETINGS }
}

/// Bytes of the batches that exist at once: those of a round, those that wait, and the one that is being used.
fn batch_bytes(task: &impl Task, workers: usize) -> u64 {
    let batch = task.batch();
    let batches = enough(workers).div_ceil(batch) + QUEUE + 1;
    (batches * batch * task.values() * size_of::<f32>()) as u64
}

/// What the maker hands over: a batch, the end, or why there are no more.
type Handed = Result<Option<Batch>, DataError>;

/// A running loader. Dropping it ends and joins its threads.
#[derive(Debug)]
pub(crate) struct Workers {
    batches: Option<Receiver<Handed>>,
    used: Sender<Vec<f32>>,
    stop: Arc<AtomicBool>,
    maker: Option<JoinHandle<()>>,
    waited: Duration,
    times: Arc<Mutex<Times>>,
}

impl Workers {
    pub(crate) fn start(
        task: impl Task,
        position: Position,
        resources: Resources,
    ) -> Result<Workers, DataError> {
        let count = resources.threads.max(1);
        let batches = batch_bytes(&task, count);
        let Some(budget) = Budget::new(resources, batches) else {
            return Err(DataError::BatchMemory { batches, budget: resources.memory });
        };
        let (sender, batches) = sync_channel(QUEUE);
        let (used, free) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let memories = (0..count).map(|_| Memory::default()).collect();
        let times = Arc::new(Mutex::new(Times::default()));
        let mut maker = Maker {
            task,
            position,
            memories,
            budget,
            free,
            stop: stop.clone(),
            times: times.clone(),
        };
        let thread = thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || maker.run(&sender))
            .map_err(|source| DataError::Read { name: "a loader's thread".to_owned(), source })?;
        let waited = Duration::ZERO;
        Ok(Workers { batches: Some(batches), used, stop, maker: Some(thread), waited, times })
    }

    /// The next batch; nothing when all were taken. After an error or the end there is nothing to come.
    pub(crate) fn next(&mut self) -> Handed {
        let start = Instant::now();
        let handed = match &self.batches {
            Some(batches) => batches.recv().unwrap_or(Err(DataError::Stopped)),
            None => Err(DataError::Stopped),
        };
        self.waited += start.elapsed();
        if handed.is_err() {
            self.batches = None;
        }
        handed
    }

    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Where the time of the batches made so far went.
    pub(crate) fn times(&self) -> Times {
        *lock(&self.times)
    }

    /// Gives a batch's memory back for another one.
    pub(crate) fn recycle(&self, batch: Batch) {
        // A maker that has ended has no use for it.
        let _ = self.used.send(batch.images);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Without a receiver the maker's hand-over fails at once, so it cannot stay blocked there.
        self.batches = None;
        if let Some(maker) = self.maker.take() {
            // A panic of the maker was already told as an error of an image.
            let _ = maker.join();
        }
    }
}

/// The thread that makes batches.
struct Maker<T> {
    task: T,
    position: Position,
    /// One for each worker.
    memories: Vec<Memory>,
    budget: Budget,
    free: Receiver<Vec<f32>>,
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<Times>>,
}

/// An image to be made: its place in the round, what it is, where its values go.
struct Job<'a> {
    place: usize,
    epoch: u64,
    index: u32,
    out: &'a mut [f32],
}

impl<T: Task> Maker<T> {
    fn run(&mut self, sender: &SyncSender<Handed>) {
        loop {
            let mut batches = self.plan();
            if batches.is_empty() {
                // Asking again after the end gives the end again. Nobody left to tell is no fault.
                while sender.send(Ok(None)).is_ok() {}
                return;
            }
            let failure = self.fill(&mut batches);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let mut first = 0;
            for (_, batch) in batches {
                let next = first + batch.indices.len();
                if failure.as_ref().is_some_and(|&(place, _)| place < next) {
                    break;
                }
                first = next;
                if sender.send(Ok(Some(batch))).is_err() {
                    return;
                }
            }
            if let Some((_, error)) = failure {
                let _ = sender.send(Err(error));
                return;
            }
        }
    }

    /// The batches of a round, empty, with their epochs: enough images to keep all workers busy.
    fn plan(&mut self) -> Vec<(u64, Batch)> {
        let enough = enough(self.memories.len());
        let mut batches = Vec::new();
        let mut images = 0;
        while images < enough {
            let Some(indices) = self.task.next_batch(&mut self.position) else { break };
            images += indices.len();
            let labels =
                indices.iter().map(|&index| self.task.part().label(index as usize)).collect();
            let mut values = self.free.try_recv().unwrap_or_default();
            values.resize(indices.len() * self.task.values(), 0.0);
            let batch = Batch { images: values, labels, indices, skipped: Vec::new() };
            batches.push((self.position.epoch, batch));
        }
        batches
    }

    /// Makes the images of a round. Of several failures the one of the first image counts.
    fn fill(&mut self, batches: &mut [(u64, Batch)]) -> Option<(usize, DataError)> {
        let Maker { task, memories, budget, stop, times, .. } = self;
        let values = task.values();
        let jobs: Vec<Job> = batches
            .iter_mut()
            .flat_map(|(epoch, batch)| {
                let outs = batch.images.chunks_exact_mut(values);
                batch.indices.iter().zip(outs).map(|(&index, out)| (*epoch, index, out))
            })
            .enumerate()
            .map(|(place, (epoch, index, out))| Job { place, epoch, index, out })
            .collect();
        let queue = Mutex::new(jobs.into_iter());
        let failure: Mutex<Option<(usize, DataError)>> = Mutex::new(None);
        let skipped: Mutex<Vec<(usize, Skipped)>> = Mutex::default();
        let work = |memory: &mut Memory| {
            while !stop.load(Ordering::Relaxed) {
                let Some(mut job) = lock(&queue).next() else { return };
                match make_or_stand_in(task, &mut job, budget, memory) {
                    Ok(None) => {}
                    Ok(Some(found)) => lock(&skipped).push((job.place, found)),
                    Err(error) => {
                        let mut failure = lock(&failure);
                        if failure.as_ref().is_none_or(|&(place, _)| job.place < place) {
                            *failure = Some((job.place, error));
                        }
                    }
                }
            }
        };
        let (own, helpers) = memories.split_first_mut().expect("at least one worker");
        thread::scope(|scope| {
            for memory in helpers {
                let helper = thread::Builder::new().name("loader".to_owned());
                // A helper that the system refuses is only missed, not needed.
                if helper.spawn_scoped(scope, || work(memory)).is_err() {
                    break;
                }
            }
            work(own);
        });
        let mut times = lock(times);
        for Memory { read, augment } in memories {
            times.add(std::mem::take(&mut read.times));
            times.add(std::mem::take(&mut augment.times));
        }
        let skipped = skipped.into_inner().unwrap_or_else(PoisonError::into_inner);
        note_skipped(task.part(), batches, skipped);
        failure.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes into the batches of a round which of their images others stand in for.
fn note_skipped(part: &Part, batches: &mut [(u64, Batch)], mut skipped: Vec<(usize, Skipped)>) {
    skipped.sort_by_key(|&(place, _)| place);
    let mut skipped = skipped.into_iter().peekable();
    let mut first = 0;
    for (_, batch) in batches {
        let next = first + batch.indices.len();
        while let Some((place, found)) = skipped.next_if(|&(place, _)| place < next) {
            batch.indices[place - first] = found.stand_in;
            batch.labels[place - first] = part.label(found.stand_in as usize);
            batch.skipped.push(found);
        }
        first = next;
    }
}

/// Makes the image of a job, or where it does not decode, the first of its stand-ins that does.
fn make_or_stand_in(
    task: &impl Task,
    job: &mut Job,
    budget: &Budget,
    memory: &mut Memory,
) -> Result<Option<Skipped>, DataError> {
    let Err(error) = make(task, job, job.index, budget, memory) else { return Ok(None) };
    let Some(reason) = error.bad_image() else { return Err(error) };
    for stand_in in task.stand_ins(job.epoch, job.index) {
        match make(task, job, stand_in, budget, memory) {
            Ok(()) => return Ok(Some(Skipped { index: job.index, stand_in, reason })),
            Err(other) if other.bad_image().is_some() => {}
            Err(other) => return Err(other),
        }
    }
    Err(error)
}

/// Reads, decodes and prepares one image in the place of a job's, with the job's random numbers. A panic on the way is an
/// error that names the image.
fn make(
    task: &impl Task,
    job: &mut Job,
    index: u32,
    budget: &Budget,
    memory: &mut Memory,
) -> Result<(), DataError> {
    let index = index as usize;
    let mut room = Room::new(budget);
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mut sample = None;
        let mut wanted = |width, height| {
            sample.insert(task.sample(job.epoch, job.index, width, height)).needed()
        };
        let Memory { read, augment } = &mut *memory;
        let mut ask = |bytes| {
            room.ask(bytes).map_err(|needed| DataError::TooMuchMemory {
                name: task.part().name(index),
                needed,
                budget: budget.total,
            })
        };
        task.part().read(index, &mut wanted, &mut ask, read)?;
        ask(augmenting(read.cut.size(), task.values()))?;
        sample.expect("a picture that was read has a size").write(
            augment,
            (&read.cut).into(),
            job.out,
        );
        Ok(())
    }));
    if room.is_large() {
        memory.forget();
    }
    made.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(DataError::Panic { name: task.part().name(index), reason: reason.to_owned() })
    })
}

/// No data behind these locks is left half-written by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use recipe::{Normalize, Validation};

    struct Failing(Dataset);

    impl Task for Failing {
        fn part(&self) -> &Part {
            &self.0.train
        }

        fn batch(&self) -> usize {
            4
        }

        fn values(&self) -> usize {
            3
        }

        fn next_batch(&self, position: &mut Position) -> Option<Vec<u32>> {
            position.step += 1;
            let first = (position.step as u32 - 1) * 4;
            Some((first..first + 4).collect())
        }

        fn sample(&self, _: u64, index: u32, width: usize, height: usize) -> Sample {
            assert!(index != 9, "image nine");
            // What comes out is the image's number.
            let normalize = Normalize { mean: [-f64::from(index) * 1e9; 3], std: [1e9; 3] };
            Sample::validation(&Validation { resize: 1, crop: 1 }, &normalize, width, height)
        }
    }

    #[test]
    fn a_panic_comes_out_as_an_error_at_its_batch() {
        for count in [1usize, 3] {
            let dataset = Dataset::fashion_mnist();
            let mut workers =
                Workers::start(Failing(dataset), Position::default(), Resources::from(count))
                    .unwrap();
            for step in 0..2 {
                let batch = workers.next().unwrap().unwrap();
                assert_eq!(batch.images[0].round(), step as f32 * 4.0);
                workers.recycle(batch);
            }
            let error = workers.next().unwrap_err().to_string();
            assert!(error.starts_with("fashion-mnist:train/9: "), "{error}");
            assert!(error.contains("image nine"), "{error}");
            assert!(matches!(workers.next(), Err(DataError::Stopped)));
        }
    }
}
