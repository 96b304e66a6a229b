//! All ways in which some attempts can go: who is answered next, what the answer is, who is killed, what lands late.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use archive::ArchiveError;

use crate::attempt::{Message, attempt};
use crate::choices::Choices;
use crate::items::{FIRST_DAY, SECOND_DAY};
use crate::judge::{complete, judge};
use crate::outside::{Answer, Call, Outside, Planted, Wire};

/// What may happen in a run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// What is delivered, each to a process of its own, at any time.
    pub(crate) messages: Vec<Message>,
    /// What lies in the archive before.
    pub(crate) outside: Outside,
    /// So many calls get no answer: they took effect, or do so later, or never.
    pub(crate) faults: usize,
    /// So many processes are killed; their messages are delivered again.
    pub(crate) kills: usize,
    /// The mistake that is to be found.
    pub(crate) planted: Option<Planted>,
}

/// What an exploration came to.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    pub(crate) runs: usize,
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// Runs that came to their end, and were not cut off where another run had been.
    pub(crate) ends: usize,
}

type Attempt = Pin<Box<dyn Future<Output = Result<(), ArchiveError>>>>;

/// A process with its message.
struct Process {
    message: Message,
    wire: Wire,
    /// None once it has acknowledged or failed.
    attempt: Option<Attempt>,
    /// Tells the attempts of all processes apart.
    number: usize,
    /// Of everything it was told. With its number it decides what it does next.
    told: u64,
}

impl Process {
    fn start(message: Message, number: usize, world: &World) -> Self {
        let wire = Wire::new(world.archive_file(), world.planted);
        let attempt: Attempt = Box::pin(attempt(message, number, wire.clone(), Arc::clone(&world.outside)));
        let mut process = Self { message, wire, attempt: Some(attempt), number, told: 0 };
        process.go_on();
        process
    }

    /// Lets it go on to its next call, or to its end.
    fn go_on(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        match attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => assert!(self.wire.waiting().is_some(), "it waits for nothing"),
            Poll::Ready(_) => self.attempt = None,
        }
    }

    fn waiting(&self) -> Option<Call> {
        self.attempt.as_ref().and_then(|_| self.wire.waiting())
    }

    fn tell(&mut self, answer: Answer) {
        let mut told = DefaultHasher::new();
        (self.told, &answer).hash(&mut told);
        self.told = told.finish();
        self.wire.answer(answer);
        self.go_on();
    }
}

/// One of the things that may happen next.
#[derive(Debug, Clone, Copy)]
enum Event {
    Answered(usize),
    /// It took effect, and nobody hears of it.
    Unanswered(usize),
    /// It took no effect: 409, 5xx, or lost on the way.
    Lost(usize),
    /// It takes effect later, or never.
    Delayed(usize),
    Killed(usize),
    Lands(usize),
    LateItemShows,
    /// What is under way never arrives.
    Ends,
}

struct World {
    outside: Arc<Mutex<Outside>>,
    planted: Option<Planted>,
    processes: Vec<Process>,
    under_way: Vec<Call>,
    faults: usize,
    kills: usize,
    attempts: usize,
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let mut world = Self {
            outside: Arc::new(Mutex::new(scenario.outside.clone())),
            planted: scenario.planted,
            processes: Vec::new(),
            under_way: Vec::new(),
            faults: scenario.faults,
            kills: scenario.kills,
            attempts: 0,
        };
        for message in &scenario.messages {
            world.deliver(*message);
        }
        world
    }

    fn archive_file(&self) -> bytes::Bytes {
        self.outside.lock().unwrap().objects["archive.json"].clone()
    }

    fn deliver(&mut self, message: Message) {
        self.attempts += 1;
        self.processes.push(Process::start(message, self.attempts, self));
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            let Some(call) = process.waiting() else { continue };
            events.push(Event::Answered(index));
            let of_the_store = !matches!(call, Call::Page(_));
            if self.faults > 0 && of_the_store {
                events.push(Event::Lost(index));
                if call.is_put() {
                    events.extend([Event::Unanswered(index), Event::Delayed(index)]);
                }
            }
            if self.kills > 0 {
                events.push(Event::Killed(index));
            }
        }
        events.extend((0..self.under_way.len()).map(Event::Lands));
        if !events.is_empty() {
            if !self.outside.lock().unwrap().late_item_shows {
                events.push(Event::LateItemShows);
            }
            if self.processes.iter().all(|process| process.attempt.is_none()) {
                events.push(Event::Ends);
            }
        }
        events
    }

    fn apply(&self, call: &Call) -> Answer {
        self.outside.lock().unwrap().apply(call, self.planted)
    }

    fn happens(&mut self, event: Event) {
        let call = |index: usize| self.processes[index].waiting().unwrap();
        match event {
            Event::Answered(index) => {
                let answer = self.apply(&call(index));
                self.processes[index].tell(answer);
            }
            Event::Unanswered(index) => {
                self.apply(&call(index));
                self.unknown(index);
            }
            Event::Lost(index) => self.unknown(index),
            Event::Delayed(index) => {
                self.under_way.push(call(index));
                self.unknown(index);
            }
            Event::Killed(index) => {
                self.kills -= 1;
                let killed = self.processes.remove(index);
                self.deliver(killed.message);
            }
            Event::Lands(index) => {
                let call = self.under_way.remove(index);
                self.apply(&call);
            }
            Event::LateItemShows => self.outside.lock().unwrap().late_item_shows = true,
            Event::Ends => self.under_way.clear(),
        }
    }

    fn unknown(&mut self, index: usize) {
        self.faults -= 1;
        self.processes[index].tell(Answer::Unknown);
    }

    /// Two worlds of one state go on alike.
    fn state(&self) -> u64 {
        let mut state = DefaultHasher::new();
        let outside = self.outside.lock().unwrap();
        (&outside.objects, outside.late_item_shows, &outside.promised).hash(&mut state);
        (&self.under_way, self.faults, self.kills, self.attempts).hash(&mut state);
        for process in &self.processes {
            (process.message.run, process.number, process.told, process.attempt.is_none()).hash(&mut state);
        }
        state.finish()
    }

    /// What lies outside alone.
    fn outside(&self) -> u64 {
        let mut state = DefaultHasher::new();
        let outside = self.outside.lock().unwrap();
        (&outside.objects, &outside.promised).hash(&mut state);
        state.finish()
    }

    fn judge(&self) -> Result<(), String> {
        judge(&self.outside.lock().unwrap())
    }

    /// Whatever has happened, runs in which nothing happens bring everything.
    fn quiet_runs(&mut self) -> Result<(), String> {
        // What went on until now is over.
        self.processes.clear();
        self.happens(Event::LateItemShows);
        for message in [Message { run: "quiet-1", to: FIRST_DAY }, Message { run: "quiet-2", to: SECOND_DAY }] {
            self.deliver(message);
            while self.processes[self.processes.len() - 1].waiting().is_some() {
                self.happens(Event::Answered(self.processes.len() - 1));
                self.judge()?;
            }
        }
        complete(&self.outside.lock().unwrap())
    }
}

/// Makes every run of the scenario, each state's continuations once. `Err` tells the first promise that a run broke.
pub(crate) fn explore(scenario: &Scenario) -> Result<Explored, String> {
    let (mut explored, mut choices) = (Explored::default(), Choices::default());
    // Where a run has been; what was judged already, while running and at an end.
    let (mut states, mut judged, mut ended) = (HashSet::new(), HashSet::new(), HashSet::new());
    loop {
        explored.runs += 1;
        let mut world = World::new(scenario);
        let broken = |what, choices: &Choices| format!("{what}, by the choices {:?}", choices.trace());
        loop {
            let events = world.events();
            if choices.is_new() && !states.insert(world.state()) {
                break;
            }
            if events.is_empty() {
                explored.ends += 1;
                if ended.insert(world.outside()) {
                    world.quiet_runs().map_err(|what| broken(what, &choices))?;
                }
                break;
            }
            world.happens(events[choices.choose(events.len())]);
            explored.steps += 1;
            // What came before was judged when it was new.
            if choices.is_new() && judged.insert(world.outside()) {
                world.judge().map_err(|what| broken(what, &choices))?;
            }
        }
        if !choices.next_sequence() {
            explored.states = states.len();
            return Ok(explored);
        }
    }
}
