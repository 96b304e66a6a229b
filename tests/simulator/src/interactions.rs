//! Pages of interactions.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::answer::Answer;
use crate::fault::{Fault, chance};
use crate::query::{Asked, SkipToken, asked, encode};
use crate::simulator::{Exchange, Page, Reply, State};
use crate::switches::{Bounds, DeletedUsers, FilterOn, INTERACTIONS_ROLE, Order, Switches};
use crate::tenant::{Folder, Item, User, UserState};

/// What a folder shows, and which part of it a page is.
struct Listing<'a> {
    shown: Vec<&'a str>,
    token: SkipToken,
    top: usize,
}

impl<'a> Listing<'a> {
    fn page(&self) -> &[&'a str] {
        let from = self.token.skip.min(self.shown.len());
        let to = from.saturating_add(self.top).min(self.shown.len());
        &self.shown[from..to]
    }

    fn page_before(&self) -> &[&'a str] {
        let to = self.token.skip.min(self.shown.len());
        &self.shown[to.saturating_sub(self.top)..to]
    }

    /// Where the next page begins. The last page of the first folder always leads to the second.
    fn next(&self, two_folders: bool) -> Option<SkipToken> {
        let skip = self.token.skip.saturating_add(self.top);
        if skip < self.shown.len() {
            Some(SkipToken { skip, ..SkipToken::start(self.token.folder) })
        } else if two_folders && self.token.folder == Folder::TeamsMessagesData {
            Some(SkipToken::start(Folder::TeamChat))
        } else {
            None
        }
    }
}

impl State {
    pub(crate) fn interactions(&mut self, exchange: &Exchange<'_>, version: &str, name: &str) -> Reply {
        if let Err(answer) = exchange.authorised(&self.tokens, &self.switches, INTERACTIONS_ROLE) {
            return answer.into();
        }
        if let Err(wait) = self.limiter.admit(&self.switches.quota, exchange.now) {
            return exchange.throttled(&self.switches.retry_after, wait);
        }
        let query = exchange.request.uri().query().unwrap_or_default();
        let asked = match asked(query, &self.switches, exchange.now) {
            Ok(asked) => asked,
            Err(message) => {
                let refusal = Answer::inner_error(400, "BadRequest", &message, exchange.now, &exchange.request_id);
                return self.unless_faulty(exchange, refusal);
            }
        };
        let user = match self.readable(exchange, name) {
            Ok(user) => user,
            Err(refusal) => return self.unless_faulty(exchange, refusal),
        };
        self.page(exchange, version, name, user, &asked)
    }

    /// The answer, if no fault takes its place.
    fn unless_faulty(&mut self, exchange: &Exchange<'_>, answer: Answer) -> Reply {
        let faults = self.faults(exchange, None);
        let (answer, told) = exchange.instead(&faults).unwrap_or((answer, None));
        Reply { answer, told, faults }
    }

    /// The user, if Graph would show the items.
    fn readable<'a>(&self, exchange: &Exchange<'a>, name: &str) -> Result<&'a User, Answer> {
        let unknown = || {
            let message = format!(
                "Resource '{name}' does not exist or one of its queried reference-property objects are not present."
            );
            Answer::error(404, "Request_ResourceNotFound", &message)
        };
        let user = exchange.user.and_then(|id| exchange.tenant.user(id)).ok_or_else(unknown)?;
        if !self.switches.upn_accepted && name.parse::<domain::UserId>().is_err() {
            return Err(unknown());
        }
        let no_licence = || Err(exchange.no_licence());
        match self.switches.state_of(user) {
            UserState::SoftDeleted => match self.switches.deleted_users {
                DeletedUsers::Served => Ok(user),
                DeletedUsers::LicenceGone => no_licence(),
                DeletedUsers::NotFound => Err(unknown()),
            },
            UserState::LicenceNotSeen => no_licence(),
            _ if !exchange.tenant.is_licensed(user) => no_licence(),
            UserState::NoHistory => {
                Err(Answer::error(404, &self.switches.no_history_code, "The user has no interaction history."))
            }
            UserState::Refused => {
                Err(Answer::inner_error(403, "Forbidden", "UnknownError", exchange.now, &exchange.request_id))
            }
            UserState::Normal => Ok(user),
        }
    }

    fn page(&mut self, exchange: &Exchange<'_>, version: &str, name: &str, user: &User, asked: &Asked) -> Reply {
        let token = asked.token.unwrap_or_else(|| SkipToken::start(Folder::TeamsMessagesData));
        let top = asked.top.unwrap_or(self.switches.default_top).max(1);
        let order = Arc::clone(&self.newest_first);
        let order = exchange.tenant.index_of(user.id).and_then(|at| order.get(at)).map_or(&[][..], Vec::as_slice);
        let switches = self.switches.clone();
        let list = |folder| shown(user, order, &switches, asked, exchange.now, folder);
        let mut listing = Listing { shown: list(token.folder), token, top };
        let pages_before = if token.folder == Folder::TeamChat {
            list(Folder::TeamsMessagesData).len().div_ceil(top).max(1)
        } else {
            0
        };
        let number = u32::try_from(pages_before + token.skip / top + 1).unwrap_or(u32::MAX);
        let faults = self.faults(exchange, Some(Page { number, folder: token.folder, items: listing.page() }));
        if let Some((answer, told)) = exchange.instead(&faults) {
            return Reply { answer, told, faults };
        }
        for fault in &faults {
            if let Fault::HideNewest(count) = fault {
                listing.shown.drain(..(*count).min(listing.shown.len()));
            }
        }
        let mut next = listing.next(switches.two_folders);
        let mut items = listing.page().to_vec();
        let mut extra = String::new();
        for fault in &faults {
            match fault {
                Fault::EmptyPage if token.pass == 0 => {
                    items.clear();
                    next = Some(SkipToken { pass: 1, ..token });
                }
                Fault::RepeatPage if token.skip > 0 => items = listing.page_before().to_vec(),
                Fault::RepeatItems => items.splice(0..0, listing.page_before().iter().copied()).for_each(drop),
                Fault::EndlessLinks if next.is_none() => next = Some(SkipToken { pass: token.pass + 1, ..token }),
                Fault::HugePage(bytes) => extra = format!("\"padding\":\"{}\",", "x".repeat(*bytes)),
                _ => {}
            }
        }
        let huge = faults.iter().find_map(|fault| if let Fault::HugeItem(bytes) = fault { Some(*bytes) } else { None });
        let huge = huge.map(|bytes| crate::shapes::huge(user.id, exchange.now, bytes));
        items.extend(huge.as_deref());
        let base = format!(
            "{}/{version}/copilot/users/{name}/interactionHistory/getAllEnterpriseInteractions?",
            exchange.origin()
        );
        let links = Links { base, asked, switches: &switches, exchange };
        let mut body = format!(
            "{{\"@odata.context\":\"{}/{version}/$metadata#Collection(microsoft.graph.aiInteraction)\",",
            exchange.origin()
        );
        if switches.count {
            body.push_str(&format!("\"@odata.count\":{},", items.len()));
        }
        body.push_str(&links.members(next, &faults));
        body.push_str(&extra);
        push_value(&mut body, &items, &faults);
        Reply { answer: Answer::json(body), told: None, faults }
    }
}

fn push_value(body: &mut String, items: &[&str], faults: &[Fault]) {
    if faults.contains(&Fault::MissingValue) {
        body.push_str("\"values\":[]}");
        return;
    }
    if faults.contains(&Fault::NullValue) {
        body.push_str("\"value\":null}");
        return;
    }
    body.reserve(items.iter().map(|item| item.len() + 1).sum::<usize>() + 16);
    body.push_str("\"value\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(item);
    }
    body.push_str("]}");
}

/// What makes next links.
struct Links<'a> {
    base: String,
    asked: &'a Asked,
    switches: &'a Switches,
    exchange: &'a Exchange<'a>,
}

impl Links<'_> {
    fn link(&self, token: SkipToken) -> String {
        let mut link = self.base.clone();
        if let Some(top) = self.asked.top.filter(|_| self.switches.link_echoes_top) {
            link.push_str(&format!("$top={top}&"));
        }
        if let Some(filter) = &self.asked.filter {
            link.push_str(&format!("$filter={}&", encode(filter)));
        }
        let issued = self.switches.skip_token_seconds.map(|_| self.exchange.now.as_second());
        link.push_str(&format!("$skiptoken={}", SkipToken { issued, ..token }.to_wire()));
        link
    }

    /// The next link's member or members, as the faults want it.
    fn members(&self, next: Option<SkipToken>, faults: &[Fault]) -> String {
        let member = |link: &str| format!("\"@odata.nextLink\":{},", serde_json::Value::from(link));
        let link = next.map(|token| self.link(token));
        let mut members = link.as_deref().map(member).unwrap_or_default();
        for fault in faults {
            let link = link.as_deref().unwrap_or_default();
            let origin = self.exchange.origin();
            let replaced = match fault {
                Fault::NextLink(text) => text.replace("{link}", link).replace("{origin}", &origin),
                Fault::ForeignLink(host) => {
                    let link = if link.is_empty() { &self.base } else { link };
                    format!("https://{host}{}", link.strip_prefix(&origin).unwrap_or(link))
                }
                Fault::LinkToSelf => format!("{origin}{}", self.exchange.target),
                Fault::LinkToFirst => self.link(SkipToken::start(Folder::TeamsMessagesData)),
                Fault::DuplicateNextLink => {
                    members = member(&format!("{origin}/nowhere")) + &members;
                    continue;
                }
                _ => continue,
            };
            members = member(&replaced);
        }
        members
    }
}

/// What a folder shows of a user at this time, in the order of paging.
fn shown<'a>(
    user: &'a User,
    newest_first: &[usize],
    switches: &Switches,
    asked: &Asked,
    now: Timestamp,
    folder: Folder,
) -> Vec<&'a str> {
    let retained = switches
        .retention_days
        .and_then(|days| now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok())
        .unwrap_or(Timestamp::MIN);
    let mut order = newest_first.to_vec();
    match switches.order {
        Order::NewestFirst => {}
        Order::OldestFirst => order.reverse(),
        Order::Shuffled => order.sort_by_key(|&index| (chance(switches.seed, index as u64) * u64::MAX as f64) as u64),
    }
    let items = order.into_iter().filter_map(|index| user.items().get(index));
    let items = items.filter(|item| !switches.two_folders || item.folder == folder);
    let items = items.filter(|item| item.created >= retained && in_range(item, switches, asked));
    let texts = items.filter_map(|item| item.shown(now)).map(AsRef::as_ref);
    texts
        .filter(|text: &&str| asked.classes.is_empty() || asked.classes.iter().any(|class| is_class(text, class)))
        .collect()
}

fn in_range(item: &Item, switches: &Switches, asked: &Asked) -> bool {
    let Some(range) = asked.range else { return true };
    let mut time = if switches.filter_on == FilterOn::Created { item.created } else { item.visible_from };
    if switches.bounds == Bounds::WholeSeconds {
        time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    }
    let touches = switches.bounds == Bounds::Inclusive;
    range.after.is_none_or(|(bound, inclusive)| time > bound || (time == bound && (inclusive || touches)))
        && range.before.is_none_or(|(bound, inclusive)| time < bound || (time == bound && (inclusive || touches)))
}

fn is_class(text: &str, class: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Class {
        #[serde(rename = "appClass")]
        class: String,
    }
    serde_json::from_str::<Class>(text).is_ok_and(|found| found.class == class)
}
