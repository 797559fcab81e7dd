//! One pool of workers for the process, and the team that a run makes of it.
//!
//! A parallel loop is a *job*: a ticket `epoch(32) | n(16) | next(16)` from which threads claim chunks by compare-and-swap. The
//! caller works too and waits for *completed chunks*, never for a worker that claimed nothing. Workers spin
//! briefly for the next job, then park. They never touch Python.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::run::RunPlace;

/// Jobs that may be open at once in the process; a caller that finds none free works alone.
const JOBS: usize = 64;
/// How often a worker looks for a job before it parks: about 20 microseconds.
const SPINS: usize = 2_000;
/// Most chunks of one job: what the ticket's fields hold.
const MAX_CHUNKS: usize = u16::MAX as usize;

type Body<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// One open parallel loop.
struct Job {
    taken: AtomicBool,
    ticket: AtomicU64,
    done: AtomicUsize,
    failed: AtomicBool,
    /// First worker and number of workers that may join.
    first: AtomicUsize,
    workers: AtomicUsize,
    /// Whose loop it is, for idle members of the same team; 0 if they may not join.
    team: AtomicUsize,
    /// The two words of a `*const Body`; valid while the ticket's epoch is.
    body: [AtomicUsize; 2],
}

impl Job {
    fn new() -> Job {
        Job {
            taken: AtomicBool::new(false),
            ticket: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            first: AtomicUsize::new(0),
            workers: AtomicUsize::new(0),
            team: AtomicUsize::new(0),
            body: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    /// The epoch if a chunk is left to claim. Fields read after this belong to that epoch or a later one, and then no
    /// claim of this epoch succeeds.
    fn open_epoch(&self) -> Option<u64> {
        let ticket = self.ticket.load(Ordering::Acquire);
        (ticket & 0xffff < (ticket >> 16) & 0xffff).then_some(ticket >> 32)
    }

    /// Claims and runs chunks of `epoch` until none is left. `rank` is the thread's place in the team.
    fn work(&self, epoch: u64, rank: usize) {
        loop {
            let ticket = self.ticket.load(Ordering::Acquire);
            let (chunks, next) = ((ticket >> 16) & 0xffff, ticket & 0xffff);
            if ticket >> 32 != epoch || next >= chunks {
                return;
            }
            let words = [self.body[0].load(Ordering::Relaxed), self.body[1].load(Ordering::Relaxed)];
            if self.ticket.compare_exchange_weak(ticket, ticket + 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // SAFETY: the swap succeeded, so this epoch is open and the words are those of its body; the caller keeps
            // the body alive until `done` has counted this chunk.
            let body = unsafe { &*std::mem::transmute::<[usize; 2], *const Body<'static>>(words) };
            if catch_unwind(AssertUnwindSafe(|| body(next as usize, rank))).is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            self.done.fetch_add(1, Ordering::Release);
        }
    }
}

/// The process's workers.
pub struct Pool {
    jobs: Vec<Job>,
    workers: usize,
    /// Counts posted jobs, so that a worker about to park sees one that came meanwhile.
    posted: AtomicU32,
    parked: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    next_first: AtomicUsize,
    pid: u32,
}

impl Pool {
    /// The pool of this process, made at first use and anew in a forked child, where the parent's threads do not exist.
    pub fn global() -> &'static Pool {
        static CURRENT: Mutex<Option<&'static Pool>> = Mutex::new(None);
        static FAST: OnceLock<&'static Pool> = OnceLock::new();
        let pid = std::process::id();
        if let Some(pool) = FAST.get()
            && pool.pid == pid
        {
            return pool;
        }
        let mut current = CURRENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match *current {
            Some(pool) if pool.pid == pid => pool,
            _ => {
                // Leaked on purpose: it lives as long as the process. A child leaks its parent's, whose memory is shared anyway.
                let pool: &'static Pool = Box::leak(Box::new(Pool::new(usable_cpus() - 1, pid)));
                pool.spawn();
                *current = Some(pool);
                let _ = FAST.set(pool);
                pool
            }
        }
    }

    fn new(workers: usize, pid: u32) -> Pool {
        Pool {
            jobs: (0..JOBS).map(|_| Job::new()).collect(),
            workers,
            posted: AtomicU32::new(0),
            parked: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
            next_first: AtomicUsize::new(0),
            pid,
        }
    }

    fn spawn(&'static self) {
        for index in 0..self.workers {
            // A worker that cannot be had is not missed: callers never wait for one.
            let _ = std::thread::Builder::new().name(format!("diptych-{index}")).spawn(move || self.serve(index));
        }
    }

    /// Threads a run may use at most: the workers and its caller.
    pub fn max_threads(&self) -> usize {
        self.workers + 1
    }

    fn serve(&self, index: usize) {
        let _environment = FloatEnvironment::enter();
        loop {
            let seen = self.posted.load(Ordering::Acquire);
            self.work_once(index);
            let mut spins = 0;
            while self.posted.load(Ordering::Acquire) == seen {
                if spins < SPINS {
                    spins += 1;
                    std::hint::spin_loop();
                    continue;
                }
                let mut guard = self.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                self.parked.fetch_add(1, Ordering::SeqCst);
                while self.posted.load(Ordering::SeqCst) == seen {
                    guard = self.wake.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                self.parked.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn work_once(&self, index: usize) {
        for job in &self.jobs {
            let Some(epoch) = job.open_epoch() else { continue };
            // The worker's place in the job's team: workers first, first + 1, … have ranks 1, 2, …
            let first = job.first.load(Ordering::Relaxed);
            let rank = (index + self.workers - first % self.workers) % self.workers + 1;
            if rank <= job.workers.load(Ordering::Relaxed) {
                job.work(epoch, rank);
            }
        }
    }

    /// Works on open loops of `team` as its member `rank`; tells whether there was one.
    fn help(&self, team: usize, rank: usize) -> bool {
        let mut helped = false;
        for job in &self.jobs {
            let Some(epoch) = job.open_epoch() else { continue };
            if job.team.load(Ordering::Relaxed) == team {
                job.work(epoch, rank);
                helped = true;
            }
        }
        helped
    }

    /// Runs `body(chunk, rank)` for every chunk with the team's threads; the caller is its member `rank`.
    fn run(&self, team: &Team<'_>, helpable: bool, rank: usize, chunks: usize, body: &Body<'_>) -> Result<()> {
        let helpers = team.threads.saturating_sub(1);
        let free = || self.jobs.iter().find(|job| !job.taken.swap(true, Ordering::AcqRel));
        let job = if helpers == 0 || !(2..=MAX_CHUNKS).contains(&chunks) { None } else { free() };
        let Some(job) = job else {
            return guarded(|| (0..chunks).for_each(|chunk| body(chunk, rank)));
        };
        job.team.store(if helpable { team.id() } else { 0 }, Ordering::Relaxed);
        job.first.store(team.first, Ordering::Relaxed);
        job.workers.store(helpers, Ordering::Relaxed);
        job.done.store(0, Ordering::Relaxed);
        job.failed.store(false, Ordering::Relaxed);
        // SAFETY: a fat reference is two words; its lifetime is upheld by waiting below.
        let words = unsafe { std::mem::transmute::<*const Body<'_>, [usize; 2]>(body) };
        job.body[0].store(words[0], Ordering::Relaxed);
        job.body[1].store(words[1], Ordering::Relaxed);
        let epoch = (job.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        job.ticket.store((epoch << 32) | ((chunks as u64) << 16), Ordering::Release);
        self.posted.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst) > 0 {
            let _guard = self.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            self.wake.notify_all();
        }
        job.work(epoch, rank);
        let mut spins = 0;
        while job.done.load(Ordering::Acquire) < chunks {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let failed = job.failed.load(Ordering::Relaxed);
        job.taken.store(false, Ordering::Release);
        if failed { Err(panicked()) } else { Ok(()) }
    }
}

fn panicked() -> Error {
    Error::internal("a kernel panicked; please report the model and inputs")
}

fn guarded(work: impl FnOnce()) -> Result<()> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked())
}

/// CPUs this process may use: affinity, cut to the cgroup's quota (rounded up).
pub fn usable_cpus() -> usize {
    let affine = std::thread::available_parallelism().map_or(1, |n| n.get());
    affine.min(cgroup_quota().unwrap_or(usize::MAX)).max(1)
}

/// The CPU quota of the cgroup (v2 `cpu.max`, or v1), in CPUs rounded up.
fn cgroup_quota() -> Option<usize> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let (quota, period) = match read("/sys/fs/cgroup/cpu.max") {
        Some(text) => {
            let mut words = text.split_whitespace().map(str::to_owned);
            (words.next()?, words.next()?)
        }
        None => (read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?, read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?),
    };
    let (quota, period): (f64, f64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| (quota / period).ceil() as usize)
}

/// The floating-point environment of exact mode, on this thread, until dropped: round to nearest even, gradual underflow.
pub struct FloatEnvironment {
    #[cfg(target_arch = "x86_64")]
    saved: u32,
}

impl FloatEnvironment {
    #[cfg(target_arch = "x86_64")]
    pub fn enter() -> FloatEnvironment {
        let mut saved = 0u32;
        let exact = 0x1f80u32;
        // SAFETY: stores and loads MXCSR; 0x1f80 is its power-on value (all exceptions masked).
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &mut saved, options(nostack));
            std::arch::asm!("ldmxcsr [{}]", in(reg) &exact, options(nostack));
        }
        FloatEnvironment { saved }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub fn enter() -> FloatEnvironment {
        FloatEnvironment {}
    }
}

impl Drop for FloatEnvironment {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: restores what `enter` found.
        unsafe {
            std::arch::asm!("ldmxcsr [{}]", in(reg) &self.saved, options(nostack));
        }
    }
}

/// Stops a run from outside.
#[derive(Debug, Default)]
pub struct CancelToken(AtomicBool);

impl CancelToken {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The threads, scratch and limits of one run.
pub struct Team<'a> {
    pool: Option<&'static Pool>,
    threads: usize,
    first: usize,
    /// One scratch window a rank, `scratch_stride` bytes apart.
    scratch: Cell<(*mut u8, usize)>,
    /// Where in the session's runs the graph at hand is evaluated.
    place: Cell<RunPlace>,
    cancel: Option<&'a CancelToken>,
    deadline: Option<Instant>,
    /// Evaluations of subgraphs that are left, and how many there were.
    steps: (AtomicU64, u64),
}

// SAFETY: `scratch` and `place` are set by the owner between steps, never while a parallel loop runs; each rank uses its own
// window of scratch.
unsafe impl Sync for Team<'_> {}

thread_local! {
    /// The rank this thread has in the job it is working on.
    static RANK: Cell<usize> = const { Cell::new(0) };
}

impl<'a> Team<'a> {
    /// `threads` threads of the process's pool, the caller included.
    pub fn new(threads: usize, cancel: Option<&'a CancelToken>, timeout: Option<Duration>) -> Team<'a> {
        let pool = (threads > 1).then(Pool::global);
        let threads = pool.map_or(1, |pool| threads.min(pool.max_threads()));
        let first = pool.map_or(0, |pool| pool.next_first.fetch_add(threads - 1, Ordering::Relaxed));
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let (scratch, place) = (Cell::new((std::ptr::null_mut(), 0)), Cell::new(RunPlace::of_run(0, 0)));
        let steps = (AtomicU64::new(u64::MAX), u64::MAX);
        Team { pool, threads, first, scratch, place, cancel, deadline, steps }
    }

    /// Limits the evaluations of subgraphs: iterations of loops, branches of If.
    pub fn max_steps(mut self, most: Option<u64>) -> Team<'a> {
        let most = most.unwrap_or(u64::MAX);
        self.steps = (AtomicU64::new(most), most);
        self
    }

    /// Counts one evaluation of a subgraph; an error if there were too many, or the run was cancelled or is past its deadline.
    pub fn step(&self) -> Result<()> {
        self.check()?;
        let (left, most) = &self.steps;
        let one_less = |left: u64| left.checked_sub(1);
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return Err(Error::resource_limit(format!(
                "the run evaluates subgraphs more than max_steps={most} times; raise the limit if its loops are meant to be that long"
            )));
        }
        Ok(())
    }

    pub fn place(&self) -> RunPlace {
        self.place.get()
    }

    /// Says where in the session's runs what comes now is. Not while a parallel loop runs.
    pub(crate) fn set_place(&self, place: RunPlace) {
        self.place.set(place);
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Gives every rank its window of scratch. Not while a parallel loop runs.
    pub(crate) fn set_scratch(&self, base: *mut u8, stride: usize) {
        self.scratch.set((base, stride));
    }

    pub(crate) fn scratch(&self) -> (*mut u8, usize) {
        self.scratch.get()
    }

    /// An error if the run was cancelled or is past its deadline.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_some_and(CancelToken::is_cancelled) {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Error::new(ErrorKind::DeadlineExceeded, "the run passed its deadline"));
        }
        Ok(())
    }

    #[allow(clippy::mut_from_ref)] // the arena's windows are disjoint; the rank says whose
    fn window(&self, rank: usize) -> &mut [u8] {
        let (base, stride) = self.scratch.get();
        if stride == 0 {
            return &mut [];
        }
        // SAFETY: the context's scratch has a window for each rank, and a rank is one thread at a time.
        unsafe { std::slice::from_raw_parts_mut(base.add(rank * stride), stride) }
    }

    /// See [`crate::run::KernelCx::parallel`].
    pub fn parallel(&self, chunks: usize, body: &(dyn Fn(usize, &mut [u8]) + Sync)) -> Result<()> {
        self.check()?;
        if chunks == 1 {
            return guarded(|| body(0, self.window(RANK.get())));
        }
        let stopped = AtomicBool::new(false);
        self.ranks(true, chunks, &|chunk, rank| {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            if self.check().is_err() {
                stopped.store(true, Ordering::Relaxed);
                return;
            }
            Team::as_rank(rank, || body(chunk, self.window(rank)));
        })?;
        if stopped.load(Ordering::Relaxed) { self.check() } else { Ok(()) }
    }

    /// Runs `body(chunk, rank)` on the team, without scratch. Idle members join by [`Team::help`] if `helpable`.
    pub(crate) fn ranks(&self, helpable: bool, chunks: usize, body: &Body<'_>) -> Result<()> {
        let rank = RANK.get();
        match self.pool {
            Some(pool) => pool.run(self, helpable, rank, chunks, body),
            None => guarded(|| (0..chunks).for_each(|chunk| body(chunk, rank))),
        }
    }

    /// Joins an open loop of this team, if there is one, as the thread's rank.
    pub(crate) fn help(&self) -> bool {
        self.pool.is_some_and(|pool| pool.help(self.id(), RANK.get()))
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Runs `body` as the thread of that rank.
    pub(crate) fn as_rank<R>(rank: usize, body: impl FnOnce() -> R) -> R {
        let before = RANK.replace(rank);
        let result = body();
        RANK.set(before);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_once() {
        for threads in [1, 2, 8] {
            let team = Team::new(threads, None, None);
            for chunks in [0, 1, 2, 3, 17, 1000] {
                let counts: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                team.parallel(chunks, &|chunk, _| {
                    counts[chunk].fetch_add(1, Ordering::Relaxed);
                })
                .unwrap();
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn many_callers_share_the_pool() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let team = Team::new(2, None, None);
                    for _ in 0..500 {
                        let sum = AtomicUsize::new(0);
                        team.parallel(10, &|chunk, _| {
                            sum.fetch_add(chunk, Ordering::Relaxed);
                        })
                        .unwrap();
                        assert_eq!(sum.load(Ordering::Relaxed), 45);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_an_error() {
        let team = Team::new(2, None, None);
        let error = team.parallel(4, &|chunk, _| assert!(chunk != 2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[test]
    fn cancelled_and_late_runs_stop() {
        let token = CancelToken::default();
        let team = Team::new(2, Some(&token), None);
        token.cancel();
        assert_eq!(team.parallel(4, &|_, _| ()).unwrap_err().kind(), ErrorKind::Cancelled);
        let team = Team::new(2, None, Some(Duration::ZERO));
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(team.parallel(4, &|_, _| ()).unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }
}
