//! The threads behind a loader.
//!
//! One thread makes batches in order and hands them over through a short queue. Helper threads work on the images of a
//! batch with it, each taking the next image that nobody has begun. An image's place in the batch and its random
//! numbers are fixed before any thread sees it, so batches do not depend on how many threads there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::augment::{Sample, Scratch};
use crate::budget::{Budget, MemoryGrant, Resources, augmenting};
use crate::dataset::ReadScratch;
use crate::preparation::SampleSize;
use crate::{Annotation, Batch, DataError, Dataset, ImageSet, Skipped, Times};

/// Finished batches that wait to be taken.
const QUEUE: usize = 1;
/// Images that each worker makes before the workers are joined: joining them costs about as much time as one image.
const IMAGES_BETWEEN_JOINS: usize = 8;

/// The order of a loader's images, and the steps that each of them goes through.
pub(crate) trait LoaderWork: Send + Sync + 'static {
    /// The images of the next batch; None at the end.
    fn next_batch(&mut self) -> Option<NextBatch>;
    /// The steps for an image of width × height.
    fn sample(&self, epoch: u64, index: u32, width: usize, height: usize) -> Sample;
    /// The images to try in this order in place of one that does not decode; that image is an error when there are none.
    fn stand_ins(&self, _epoch: u64, _index: u32) -> Vec<u32> {
        Vec::new()
    }
}

/// A batch that is not begun yet.
pub(crate) struct NextBatch {
    pub(crate) step: u64,
    pub(crate) part: usize,
    /// The epoch that the random numbers of the images belong to.
    pub(crate) epoch: u64,
    pub(crate) indices: Vec<u32>,
}

/// The dataset behind a loader, and the sizes of its batches and samples.
pub(crate) struct Supply<A> {
    pub(crate) dataset: Arc<Dataset<A>>,
    /// Chooses the training or the validation images of the dataset.
    pub(crate) set: fn(&Dataset<A>) -> &ImageSet<A>,
    /// Images of a batch.
    pub(crate) batch: usize,
    pub(crate) size: SampleSize,
}

impl<A> Supply<A> {
    pub(crate) fn set(&self) -> &ImageSet<A> {
        (self.set)(&self.dataset)
    }
}

/// A batch whose images are being made.
struct BatchInProgress<P> {
    next: NextBatch,
    /// The values of samples of equal size, which are written to their place.
    images: Vec<f32>,
    made: Vec<Option<Made<P>>>,
}

/// A finished sample, without its values where these are in the batch already.
struct Made<P> {
    index: u32,
    /// Height and width.
    size: [usize; 2],
    annotation: P,
    /// The values of a sample that has a size of its own.
    values: Vec<f32>,
    skipped: Option<Skipped>,
}

impl<P> BatchInProgress<P> {
    fn new(next: NextBatch, size: SampleSize) -> BatchInProgress<P> {
        let count = next.indices.len();
        let images = match size {
            SampleSize::Equal(_) => vec![0.0; count * size.values()],
            SampleSize::AtMost(_) => Vec::new(),
        };
        let made = (0..count).map(|_| None).collect();
        BatchInProgress { next, images, made }
    }

    /// The place of each sample's values in the batch; empty for samples whose size is not known yet.
    fn places(images: &mut [f32], count: usize, size: SampleSize) -> Vec<&mut [f32]> {
        match size {
            SampleSize::Equal(_) => images.chunks_exact_mut(size.values()).collect(),
            SampleSize::AtMost(_) => (0..count).map(|_| Default::default()).collect(),
        }
    }

    /// The batch, once all its images are made.
    fn finish(self) -> Batch<P> {
        let BatchInProgress { next: NextBatch { step, part, mut indices, .. }, mut images, made } =
            self;
        images.reserve_exact(made.iter().flatten().map(|made| made.values.len()).sum());
        let mut sizes = Vec::with_capacity(made.len());
        let mut annotations = Vec::with_capacity(made.len());
        let mut skipped = Vec::new();
        for (made, index) in made.into_iter().zip(&mut indices) {
            let made = made.expect("every image before the first failure was made");
            *index = made.index;
            images.extend(made.values);
            sizes.push(made.size);
            annotations.push(made.annotation);
            skipped.extend(made.skipped);
        }
        Batch { step, part, images, sizes, annotations, indices, skipped }
    }
}

/// Memory that a worker uses again for every image.
#[derive(Debug, Default)]
struct Memory {
    read: ReadScratch,
    augment: Scratch,
}

impl Memory {
    /// Gives all memory back, and keeps what was measured.
    fn forget(&mut self) {
        let Memory { read, augment } = self;
        let times = (read.times, augment.times);
        *self = Memory::default();
        (self.read.times, self.augment.times) = times;
    }
}

/// Images of a round, enough to keep this many workers busy until they are joined.
fn enough(workers: usize) -> usize {
    if workers == 1 { 1 } else { workers * IMAGES_BETWEEN_JOINS }
}

/// Bytes of the batches that exist at once: those of a round, those that wait, and the one that is being used.
fn batch_bytes<A>(supply: &Supply<A>, workers: usize) -> u64 {
    let Supply { batch, size, .. } = supply;
    // Samples of several sizes exist twice while they are joined.
    let copies = if matches!(size, SampleSize::Equal(_)) { 1 } else { 2 };
    let batches = enough(workers).div_ceil(*batch) + QUEUE + 1;
    (batches * batch * size.values() * copies * size_of::<f32>()) as u64
}

/// What the maker sends: a batch, the end, or why there are no more batches.
type Message<P> = Result<Option<Batch<P>>, DataError>;

/// A running loader. Dropping it ends and joins its threads.
#[derive(Debug)]
pub(crate) struct Workers<P> {
    batches: Option<Receiver<Message<P>>>,
    stop: Arc<AtomicBool>,
    maker: Option<JoinHandle<()>>,
    waited: Duration,
    times: Arc<Mutex<Times>>,
}

impl<P: Send + 'static> Workers<P> {
    pub(crate) fn start<A: Annotation<Prepared = P>>(
        work: impl LoaderWork,
        supply: Supply<A>,
        resources: Resources,
    ) -> Result<Workers<P>, DataError> {
        let count = resources.threads.max(1);
        let batches = batch_bytes(&supply, count);
        let Some(budget) = Budget::new(resources, batches) else {
            return Err(DataError::BatchMemory { batches, budget: resources.memory });
        };
        let (sender, batches) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let memories = (0..count).map(|_| Memory::default()).collect();
        let times = Arc::new(Mutex::new(Times::default()));
        let mut maker =
            Maker { work, supply, memories, budget, stop: stop.clone(), times: times.clone() };
        let thread = thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || maker.run(&sender))
            .map_err(|error| DataError::Thread { error })?;
        let waited = Duration::ZERO;
        Ok(Workers { batches: Some(batches), stop, maker: Some(thread), waited, times })
    }

    /// The next batch; None when all were taken. Every call after an error is an error.
    pub(crate) fn next(&mut self) -> Message<P> {
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
}

impl<P> Drop for Workers<P> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Without a receiver the maker's hand-over fails at once, so it cannot stay blocked there.
        self.batches = None;
        if let Some(maker) = self.maker.take() {
            // A panic of the maker was already reported as an error of an image.
            let _ = maker.join();
        }
    }
}

/// The thread that makes batches.
struct Maker<W, A> {
    work: W,
    supply: Supply<A>,
    /// One for each worker.
    memories: Vec<Memory>,
    budget: Budget,
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<Times>>,
}

/// An image to be made: its place in the round, what it is, where its values and the rest go.
struct Job<'a, P> {
    place: usize,
    epoch: u64,
    index: u32,
    out: &'a mut [f32],
    made: &'a mut Option<Made<P>>,
}

/// The place in the round of an image that could not be made, and why.
type Failure = (usize, DataError);

impl<W: LoaderWork, A: Annotation> Maker<W, A> {
    fn run(&mut self, sender: &SyncSender<Message<A::Prepared>>) {
        loop {
            let mut batches = self.plan();
            if batches.is_empty() {
                // Every further request gets the end again. A receiver that is gone is no fault.
                while sender.send(Ok(None)).is_ok() {}
                return;
            }
            let failure = self.fill(&mut batches);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let mut first = 0;
            for batch in batches {
                let next = first + batch.made.len();
                if failure.as_ref().is_some_and(|&(place, _)| place < next) {
                    break;
                }
                first = next;
                if sender.send(Ok(Some(batch.finish()))).is_err() {
                    return;
                }
            }
            if let Some((_, error)) = failure {
                let _ = sender.send(Err(error));
                return;
            }
        }
    }

    /// The empty batches of a round: enough images to keep all workers busy.
    fn plan(&mut self) -> Vec<BatchInProgress<A::Prepared>> {
        let enough = enough(self.memories.len());
        let mut batches = Vec::new();
        let mut images = 0;
        while images < enough {
            let Some(next) = self.work.next_batch() else { break };
            images += next.indices.len();
            batches.push(BatchInProgress::new(next, self.supply.size));
        }
        batches
    }

    /// Makes the images of a round. Of several failures the one of the first image counts.
    fn fill(&mut self, batches: &mut [BatchInProgress<A::Prepared>]) -> Option<Failure> {
        let Maker { work: steps, supply, memories, budget, stop, times, .. } = self;
        let jobs: Vec<Job<A::Prepared>> = batches
            .iter_mut()
            .flat_map(|BatchInProgress { next, images, made }| {
                let outs = BatchInProgress::<A::Prepared>::places(images, made.len(), supply.size);
                let epoch = next.epoch;
                let indices = next.indices.iter().copied();
                indices
                    .zip(outs)
                    .zip(made)
                    .map(move |((index, out), made)| (epoch, index, out, made))
            })
            .enumerate()
            .map(|(place, (epoch, index, out, made))| Job { place, epoch, index, out, made })
            .collect();
        let queue = Mutex::new(jobs.into_iter());
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        let work = |memory: &mut Memory| {
            while !stop.load(Ordering::Relaxed) {
                let Some(mut job) = lock(&queue).next() else { return };
                match make_or_stand_in(steps, supply, &mut job, budget, memory) {
                    Ok(made) => *job.made = Some(made),
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
                // The work gets done without a helper that the system refuses.
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
        failure.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the image of a job. One that does not decode is replaced by the first of its stand-ins that does.
fn make_or_stand_in<A: Annotation>(
    work: &impl LoaderWork,
    supply: &Supply<A>,
    job: &mut Job<A::Prepared>,
    budget: &Budget,
    memory: &mut Memory,
) -> Result<Made<A::Prepared>, DataError> {
    let index = job.index;
    let error = match make(work, supply, job, index, budget, memory) {
        Ok(made) => return Ok(made),
        Err(error) => error,
    };
    let Some(reason) = error.bad_image() else { return Err(error) };
    for stand_in in work.stand_ins(job.epoch, index) {
        match make(work, supply, job, stand_in, budget, memory) {
            Ok(made) => {
                return Ok(Made { skipped: Some(Skipped { index, stand_in, reason }), ..made });
            }
            Err(other) if other.bad_image().is_some() => {}
            Err(other) => return Err(other),
        }
    }
    Err(error)
}

/// Reads, decodes and prepares one image with the random numbers of a job, in the job's place. A panic on the way becomes
/// an error that names the image.
fn make<A: Annotation>(
    work: &impl LoaderWork,
    supply: &Supply<A>,
    job: &mut Job<A::Prepared>,
    index: u32,
    budget: &Budget,
    memory: &mut Memory,
) -> Result<Made<A::Prepared>, DataError> {
    let (set, number) = (supply.set(), index as usize);
    let mut grant = MemoryGrant::new(budget);
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mut drawn = None;
        let mut wanted = |width, height| {
            let sample = work.sample(job.epoch, job.index, width, height);
            drawn.insert(([width, height], sample)).1.needed()
        };
        let Memory { read, augment } = &mut *memory;
        let mut ask = |bytes| {
            grant.ask(bytes).map_err(|needed| DataError::TooMuchMemory {
                name: set.name(number),
                needed,
                budget: budget.total,
            })
        };
        set.read(number, &mut wanted, &mut ask, read)?;
        let (image_size, sample) = drawn.expect("a picture that was read has a size");
        let [height, width] = sample.size();
        ask(augmenting(read.cut.size(), [height, width]))?;
        let mut values = Vec::new();
        let out = match supply.size {
            SampleSize::Equal(_) => &mut *job.out,
            SampleSize::AtMost(_) => {
                values.resize(height * width * 3, 0.0);
                values.as_mut_slice()
            }
        };
        sample.write(augment, (&read.cut).into(), out);
        let annotation = set.annotation(number).prepare(image_size, sample.geometry());
        let annotation = annotation
            .map_err(|reason| DataError::Annotation { name: set.name(number), reason })?;
        Ok(Made { index, size: [height, width], annotation, values, skipped: None })
    }));
    if grant.is_large() {
        memory.forget();
    }
    made.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(DataError::Panic { name: set.name(number), reason: reason.to_owned() })
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
    use recipe::{Interpolation, Normalize, Validation};

    struct Failing {
        next: u64,
    }

    impl LoaderWork for Failing {
        fn next_batch(&mut self) -> Option<NextBatch> {
            let (step, first) = (self.next, self.next as u32 * 4);
            self.next += 1;
            Some(NextBatch { step, part: 0, epoch: 0, indices: (first..first + 4).collect() })
        }

        fn sample(&self, _: u64, index: u32, width: usize, height: usize) -> Sample {
            assert!(index != 9, "image nine");
            // What comes out is the image's number.
            let normalize = Normalize { mean: [-f64::from(index) * 1e9; 3], std: [1e9; 3] };
            let v = Validation { resize: 1, crop: 1 };
            Sample::validation(&v, &normalize, Interpolation::Bilinear, width, height)
        }
    }

    #[test]
    fn a_panic_comes_out_as_an_error_at_its_batch() {
        for count in [1usize, 3] {
            let dataset = Arc::new(Dataset::fashion_mnist());
            let size = SampleSize::Equal([1, 1]);
            let supply = Supply { dataset, set: |set| &set.train, batch: 4, size };
            let mut workers =
                Workers::start(Failing { next: 0 }, supply, Resources::from(count)).unwrap();
            for step in 0..2 {
                let batch = workers.next().unwrap().unwrap();
                assert_eq!(batch.images[0].round(), step as f32 * 4.0);
                assert_eq!(batch.step, step);
            }
            let error = workers.next().unwrap_err().to_string();
            assert!(error.starts_with("fashion-mnist:train/9: "), "{error}");
            assert!(error.contains("image nine"), "{error}");
            assert!(matches!(workers.next(), Err(DataError::Stopped)));
        }
    }
}
