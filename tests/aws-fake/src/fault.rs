//! Faults on demand: which calls they strike, and what becomes of these.

use crate::call::{Call, Service};

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is not done, and answered with this error.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The service's name of the error.
        code: String,
    },
    /// It is done, and the connection is closed instead of an answer.
    LoseAnswer,
    /// It is not done, and the connection is closed.
    Disconnect,
    /// A put that is not done yet, whose connection is closed, and that lands later: with its condition as of then.
    Late(Landing),
    /// It is not done and not answered; the connection stays open.
    Hang,
    /// It is done and not answered; the connection stays open.
    HangDone,
    /// The entries at these places of a batch fail, the others are done.
    FailEntries(Vec<usize>),
}

/// When a late put lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// When [`crate::AwsFake::land_late_puts`] is called.
    OnDemand,
    /// Right before the n-th call of S3 from here, the next being the first.
    BeforeCall(usize),
    /// Never.
    Never,
}

impl Effect {
    /// This error is answered.
    pub fn answer(status: u16, code: &str) -> Self {
        Self::Answer { status, code: code.to_owned() }
    }

    /// S3's answer to a conditional put that met another one.
    pub fn conflict() -> Self {
        Self::answer(409, "ConditionalRequestConflict")
    }

    /// S3's throttle.
    pub fn slow_down() -> Self {
        Self::answer(503, "SlowDown")
    }

    /// A server error.
    pub fn internal_error() -> Self {
        Self::answer(500, "InternalError")
    }

    /// No permission.
    pub fn denied() -> Self {
        Self::answer(403, "AccessDenied")
    }
}

/// An effect on some calls: by default on the next one, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    effect: Effect,
    service: Option<Service>,
    action: Option<String>,
    resource: Option<String>,
    access_key: Option<String>,
    skip: usize,
    times: usize,
}

impl Fault {
    /// A fault with this effect on the next call.
    pub const fn new(effect: Effect) -> Self {
        Self { effect, service: None, action: None, resource: None, access_key: None, skip: 0, times: 1 }
    }

    /// On calls of this service only.
    pub const fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// On calls of this operation only.
    pub fn action(mut self, action: &str) -> Self {
        self.action = Some(action.to_owned());
        self
    }

    /// On calls only whose resource contains this.
    pub fn resource(mut self, part: &str) -> Self {
        self.resource = Some(part.to_owned());
        self
    }

    /// On calls only that this access key signed.
    pub fn access_key(mut self, access_key: &str) -> Self {
        self.access_key = Some(access_key.to_owned());
        self
    }

    /// Not on the first so many of these calls.
    pub const fn skip(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// On so many of these calls.
    pub const fn times(mut self, calls: usize) -> Self {
        self.times = calls;
        self
    }

    fn strikes(&self, call: &Call) -> bool {
        self.service.is_none_or(|service| service == call.service)
            && self.action.as_ref().is_none_or(|action| *action == call.action)
            && self.resource.as_ref().is_none_or(|part| call.resource.contains(part))
            && self.access_key.as_ref().is_none_or(|key| *key == call.access_key)
    }
}

/// The faults to come.
#[derive(Debug, Default)]
pub(crate) struct Plan(Vec<Fault>);

impl Plan {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many strikes are still to come.
    pub(crate) fn left(&self) -> usize {
        self.0.iter().map(|fault| fault.times).sum()
    }

    /// The effect on this call: of the first fault that strikes it. Each fault counts the calls that it could have struck.
    pub(crate) fn effect(&mut self, call: &Call) -> Option<Effect> {
        let mut effect = None;
        for fault in self.0.iter_mut().filter(|fault| fault.strikes(call)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 && effect.is_none() {
                fault.times -= 1;
                effect = Some(fault.effect.clone());
            }
        }
        self.0.retain(|fault| fault.times > 0);
        effect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str, resource: &str) -> Call {
        Call {
            service: Service::S3,
            action: action.to_owned(),
            resource: resource.to_owned(),
            holds: false,
            access_key: String::new(),
            done: false,
            status: None,
        }
    }

    #[test]
    fn a_fault_strikes_the_calls_it_names_and_no_others() {
        let mut plan = Plan::default();
        plan.add(Fault::new(Effect::conflict()).action("PutObject").resource("segment").skip(1).times(2));
        assert_eq!(plan.effect(&call("GetObject", "b/segment-1")), None);
        assert_eq!(plan.effect(&call("PutObject", "b/state")), None);
        assert_eq!(plan.effect(&call("PutObject", "b/segment-1")), None);
        assert_eq!(plan.left(), 2);
        for _ in 0..2 {
            assert_eq!(plan.effect(&call("PutObject", "b/segment-1")), Some(Effect::conflict()));
        }
        assert_eq!(plan.effect(&call("PutObject", "b/segment-1")), None);
        assert_eq!(plan.left(), 0);
    }

    #[test]
    fn of_two_faults_the_first_strikes_first() {
        let mut plan = Plan::default();
        plan.add(Fault::new(Effect::slow_down()));
        plan.add(Fault::new(Effect::denied()).service(Service::S3));
        plan.add(Fault::new(Effect::Hang).service(Service::Sqs));
        plan.add(Fault::new(Effect::Hang).access_key("other"));
        assert_eq!(plan.effect(&call("PutObject", "")), Some(Effect::slow_down()));
        assert_eq!(plan.effect(&call("PutObject", "")), Some(Effect::denied()));
        assert_eq!(plan.effect(&call("PutObject", "")), None);
    }
}
