//! Tenants made from a seed.

use domain::{GroupId, TenantId, UserId};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::shapes::{Head, NAMELESS_FILE, Parts, card, doubled_link, file_context, meeting, placeholder, quoted};
use crate::tenant::{CHAT_PLAN, Folder, Group, Item, Licence, Plan, Sku, Tenant, User, UserState};
use crate::words::{Dice, FIRST_NAMES, LAST_NAMES, Prose};

/// How long before `now` nothing happens any more, so that a second export finds nothing new: the usual settle time.
const QUIET: SignedDuration = SignedDuration::from_hours(2);

/// How many items of the past a user has, and the share in percent of users who have them: a heavy tail.
const PAST_ITEMS: [(usize, usize); 9] =
    [(0, 10), (4, 14), (10, 16), (20, 18), (35, 14), (60, 12), (100, 8), (200, 5), (400, 3)];

/// What a generated tenant is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// How many users the directory holds.
    pub users: usize,
    /// How many of them hold a SKU that grants the plan.
    pub licensed: usize,
    /// How many of these have three years of history.
    pub busy: usize,
    /// How many items each of those has.
    pub busy_items: usize,
    /// Whether some histories hold items that break assumptions.
    pub hostile: bool,
    /// The time at which the tenant is looked at.
    pub now: Timestamp,
}

impl Profile {
    /// A company whose first look ends quickly and shows everything: 440 users, 412 of them licensed.
    pub fn contoso() -> Self {
        let now = Timestamp::from_second(1_795_489_200).unwrap_or_default(); // 2026-11-24T03:00:00Z
        Self { users: 440, licensed: 412, busy: 3, busy_items: 1_400, hostile: true, now }
    }

    /// A few dozen users, for tests.
    pub fn small() -> Self {
        Self { users: 40, licensed: 36, busy: 1, busy_items: 350, ..Self::contoso() }
    }
}

impl Tenant {
    /// The tenant of this profile and seed: the same bytes every time.
    pub fn generate(profile: &Profile, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut tenant = Self::new(TenantId::from_bytes(dice.guid().into_bytes()), profile.now);
        tenant.name = "contoso".to_owned();
        tenant.application.client_id = dice.guid();
        tenant.application.secret = format!("simulated~{}", dice.guid().simple());
        tenant.skus = skus();
        let prose = Prose::new(&mut dice);
        for index in 0..profile.users {
            let mut dice = Dice::of(seed, index as u64);
            let mut user = person(&mut dice, profile, index);
            if user.state == UserState::Normal && index < profile.licensed {
                let mut history = History { dice, prose: &prose, tenant: tenant.id, now: profile.now, user };
                history.fill(profile, index);
                user = history.user;
            }
            tenant.add_user(user);
        }
        let member = |of: usize, rest: usize| {
            let users = tenant.users().iter().enumerate().filter(move |(index, _)| index % of == rest);
            users.map(|(_, user)| user.id).collect::<Vec<_>>()
        };
        let groups = [("Legal", member(9, 0)), ("Finance", member(7, 3)), ("Berlin", member(4, 1))];
        let groups = groups.map(|(name, members)| Group {
            id: GroupId::from_bytes(dice.guid().into_bytes()),
            display_name: name.to_owned(),
            members,
        });
        tenant.groups = groups.into();
        tenant
    }
}

/// What a company buys: three SKUs that grant the plan, and eight that do not.
fn skus() -> Vec<Sku> {
    let plan = |id: u128, name: &str| Plan { id: Uuid::from_u128(id), name: name.to_owned() };
    let chat = || Plan { id: CHAT_PLAN, name: "M365_COPILOT_BUSINESS_CHAT".to_owned() };
    let apps = || plan(0xa62f_8878_de10_42f3_b68f_6149_a25c_eb97, "M365_COPILOT_APPS");
    let exchange = || plan(0xefb8_7545_963c_4e0d_99df_69c6_916d_9eb0, "EXCHANGE_S_ENTERPRISE");
    let not_paid = || plan(0x0d0c_0d31_fae7_41f2_b909_eaf4_d7f2_6dba, "Bing_Chat_Enterprise");
    let sku = |id: u128, part_number: &str, plans: Vec<Plan>| Sku {
        id: Uuid::from_u128(id),
        part_number: part_number.to_owned(),
        capability_status: "Enabled".to_owned(),
        plans,
    };
    vec![
        sku(0x639d_ec6b_bb19_468b_871c_c5c4_41c4_b0cb, "Microsoft_365_Copilot", vec![chat(), apps()]),
        sku(0x15f2_e9fc_b782_4f73_bf51_81d8_b7ff_f6f4, "Microsoft_Copilot_for_Sales", vec![apps(), chat()]),
        sku(0x9a18_296a_025f_4e37_9ffa_30bf_8d1c_e775, "MICROSOFT_365_E7", vec![exchange(), not_paid(), chat()]),
        sku(0x06eb_c4ee_1bb5_47dd_8120_1132_4bc5_4e06, "SPE_E5", vec![exchange(), not_paid()]),
        sku(0x05e9_a617_0261_4cee_bb44_138d_3ef5_d965, "SPE_E3", vec![exchange(), not_paid()]),
        sku(0xa403_ebcc_fae0_4ca2_8c8c_7a90_7fd6_c235, "POWER_BI_STANDARD", Vec::new()),
        sku(0xf30d_b892_07e9_47e9_837c_8072_7f46_fd3d, "FLOW_FREE", Vec::new()),
        sku(0x7107_79e8_3d4a_4c88_adb9_386c_958d_1fdf, "TEAMS_EXPLORATORY", vec![exchange()]),
        sku(0xc592_8f49_12ba_48f7_ada3_0d74_3a36_01d5, "VISIOCLIENT", Vec::new()),
        sku(0x5381_8b1b_4a27_454b_8896_0dba_5764_10e6, "PROJECTPROFESSIONAL", Vec::new()),
        sku(0x7792_674b_fa0c_4af5_b2a1_a152_39f9_33b6, "Microsoft_Copilot_for_Finance_trial", vec![apps()]),
    ]
}

const GRANTING: [u128; 3] = [
    0x639d_ec6b_bb19_468b_871c_c5c4_41c4_b0cb,
    0x15f2_e9fc_b782_4f73_bf51_81d8_b7ff_f6f4,
    0x9a18_296a_025f_4e37_9ffa_30bf_8d1c_e775,
];

fn person(dice: &mut Dice, profile: &Profile, index: usize) -> User {
    // The first one is the same in every tenant, so that examples can name her.
    let id = if index == 0 { Uuid::from_u128(0x5ac1_81d0_c896_435a_a745_ac94_8db1_d59a) } else { dice.guid() };
    let (first, last) = (FIRST_NAMES[index % FIRST_NAMES.len()], LAST_NAMES[index % LAST_NAMES.len()]);
    let mut user = User::new(UserId::from_bytes(id.into_bytes()));
    user.display_name = format!("{first} {last}");
    user.upn = match index {
        0 => "adele@contoso.example".to_owned(),
        _ => format!("{}.{}@contoso.example", first.to_ascii_lowercase(), last.to_ascii_lowercase()),
    };
    user.mail = (index % 41 != 40).then(|| user.upn.clone());
    user.account_enabled = index % 60 != 45;
    if index % 90 == 33 {
        user.user_type = "Guest".to_owned();
        user.upn = format!("{}_fabrikam.example#EXT#@contoso.example", first.to_ascii_lowercase()) + &index.to_string();
    }
    let held = |sku: u128| Licence { sku: Uuid::from_u128(sku), disabled_plans: Vec::new() };
    let base = if index.is_multiple_of(3) {
        0x05e9_a617_0261_4cee_bb44_138d_3ef5_d965
    } else {
        0x06eb_c4ee_1bb5_47dd_8120_1132_4bc5_4e06
    };
    user.licences.push(held(base));
    if index >= profile.licensed {
        user.licences.push(held(0x7792_674b_fa0c_4af5_b2a1_a152_39f9_33b6));
        return user;
    }
    let granting = match index % 10 {
        8 => GRANTING[1],
        9 => GRANTING[2],
        _ => GRANTING[0],
    };
    user.licences.push(held(granting));
    let off = |licence: &mut Licence| licence.disabled_plans.push(CHAT_PLAN);
    if index % 27 == 13 {
        user.licences.iter_mut().skip(1).for_each(off);
    } else if index % 25 == 5 {
        // The plan is off in one SKU and on in another: that is enough.
        user.licences.iter_mut().skip(1).for_each(off);
        user.licences.push(held(GRANTING[1]));
    } else if index % 37 == 7 {
        user.state = UserState::LicenceNotSeen;
    } else if index % 50 == 22 {
        user.state = UserState::NoHistory;
    } else if index % 150 == 101 {
        user.state = UserState::Refused;
    }
    user
}

/// What one application writes in one turn.
#[derive(Debug, Clone, Copy)]
enum App {
    Chat,
    Teams,
    Word,
    Excel,
    Outlook,
    Cowork,
}

/// Fills a user's history.
struct History<'a> {
    dice: Dice,
    prose: &'a Prose,
    tenant: TenantId,
    now: Timestamp,
    user: User,
}

impl History<'_> {
    fn fill(&mut self, profile: &Profile, index: usize) {
        let day = |days: i64| SignedDuration::from_hours(24 * days);
        if self.dice.percent(78) {
            for _ in 0..self.dice.between(1, 3) {
                // The day before `now`, in working hours.
                let back = SignedDuration::from_mins(self.dice.between(9 * 60, 19 * 60));
                self.conversation(back);
            }
        }
        let busy = (1..=profile.busy).contains(&index);
        let (count, span) = if busy {
            (profile.busy_items, 1_115) // since 2023-11-05
        } else {
            let drawn = self.dice.below(100);
            let mut below = 0;
            let count = PAST_ITEMS.iter().find(|(_, share)| {
                below += share;
                drawn < below
            });
            (count.map_or(0, |(count, _)| *count), self.dice.between(20, 400))
        };
        let target = self.user.items().len() + count;
        while self.user.items().len() < target {
            let back = day(self.dice.between(4, span)) + SignedDuration::from_mins(self.dice.between(9 * 60, 19 * 60));
            self.conversation(back);
        }
        if profile.hostile && index % 37 == 4 {
            let at = self.now.checked_sub(day(self.dice.between(5, 20))).unwrap_or(self.now);
            let at = Timestamp::from_second(at.as_second() - 3_600).unwrap_or(at);
            for item in crate::hostile::items(self.user.id, at) {
                self.user.add_item(item);
            }
        }
    }

    /// A conversation that begins so long before `now`.
    fn conversation(&mut self, back: SignedDuration) {
        let app = match self.dice.below(100) {
            0..45 => App::Chat,
            45..65 => App::Teams,
            65..78 => App::Word,
            78..87 => App::Excel,
            87..94 => App::Outlook,
            _ => App::Cowork,
        };
        let session = self.dice.session();
        let folder = if self.dice.percent(55) { Folder::TeamsMessagesData } else { Folder::TeamChat };
        let mut at = self.now.checked_sub(back).unwrap_or(self.now);
        at = at.checked_add(SignedDuration::from_millis(self.dice.between(0, 59_999))).unwrap_or(at);
        for _ in 0..self.dice.between(1, 3) {
            for (text, created, expected) in self.turn(app, &session, at) {
                let visible = self.visible_from(created);
                let mut item = Item::new(text, created).in_folder(folder).visible_from(visible);
                item.expected_text = expected;
                self.user.add_item(item);
            }
            at = at.checked_add(SignedDuration::from_millis(self.dice.between(40_000, 400_000))).unwrap_or(at);
        }
    }

    /// When an item becomes visible: within the hour, or, now and then, up to two and a half days late.
    fn visible_from(&mut self, created: Timestamp) -> Timestamp {
        let late = if self.dice.percent(4) { self.dice.between(60, 3_600) } else { self.dice.between(0, 50) };
        let visible = created.checked_add(SignedDuration::from_mins(late)).unwrap_or(created);
        visible.min(self.now.checked_sub(QUIET).unwrap_or(self.now)).max(created)
    }

    /// One prompt and what follows it: text, creation, and what a person read.
    fn turn(&mut self, app: App, session: &str, at: Timestamp) -> Vec<(String, Timestamp, Option<String>)> {
        let request = self.dice.guid().to_string();
        let (class, conversation) = match app {
            App::Chat => ("BizChat", "bizchat"),
            App::Teams => ("Teams", "appchat"),
            App::Word => ("Word", "appchat"),
            App::Excel => ("Excel", "appchat"),
            App::Outlook => ("Outlook", "appchat"),
            App::Cowork => ("CoworkChat", "coworkchat"),
        };
        // Excel begins a conversation of its own with every turn; Cowork names no request.
        let own_session = matches!(app, App::Excel).then(|| self.dice.session());
        let session = own_session.as_deref().unwrap_or(session);
        let head = Head {
            tenant: self.tenant,
            user: self.user.id,
            session: Some(session),
            request: (!matches!(app, App::Cowork)).then_some(request.as_str()),
            at,
            class,
            conversation,
            locale: if self.dice.percent(85) { "en-us" } else { "de-de" },
        };
        let mut items = Vec::new();
        let (asked, context) = self.prompt(app, head, &mut items);
        if self.dice.percent(2) {
            // A near duplicate: the same words a moment later, under another request.
            let at = at.checked_add(SignedDuration::from_millis(self.dice.between(900, 2_000))).unwrap_or(at);
            let request = self.dice.guid().to_string();
            let head = Head { at, request: Some(&request), ..head };
            items.push((head.prompt(&asked, Parts::default()), at, Some(asked)));
        }
        if self.dice.percent(3) {
            return items; // never answered
        }
        let mut at = at.checked_add(SignedDuration::from_millis(self.dice.between(1_200, 9_000))).unwrap_or(at);
        if self.dice.percent(5) {
            let head = Head { at, ..head };
            items.push((head.reply("text", "Searching…", Parts::default()), at, Some("Searching…".to_owned())));
            at = at.checked_add(SignedDuration::from_millis(1_700)).unwrap_or(at);
        }
        for _ in 0..if self.dice.percent(8) { 2 } else { 1 } {
            let (text, expected) = self.reply(app, Head { at, ..head }, &context);
            items.push((text, at, expected));
            at = at.checked_add(SignedDuration::from_millis(self.dice.between(300, 3_000))).unwrap_or(at);
        }
        items
    }

    /// Adds the prompt; returns its words and the context that the answer repeats.
    fn prompt(
        &mut self,
        app: App,
        head: Head<'_>,
        items: &mut Vec<(String, Timestamp, Option<String>)>,
    ) -> (String, String) {
        let mut asked = self.prose.request(&mut self.dice);
        let mut context = String::new();
        let text = match app {
            App::Teams => {
                let thread = format!("19:meeting_{}@thread.v2", self.dice.guid().simple());
                let (context, attachment) = meeting(&thread);
                let escaped = placeholder(&thread).replace('<', "&lt;").replace('>', "&gt;");
                let parts = Parts { contexts: &context, attachments: &attachment, links: "" };
                head.prompt(&format!("{asked}{escaped}"), parts)
            }
            App::Word | App::Excel => {
                let kind = if matches!(app, App::Word) { "docx" } else { "xlsx" };
                let name = format!("plan-{}.{kind}", self.dice.between(1, 400));
                let url = format!("https://contoso.sharepoint.example/sites/work/Shared%20Documents/{name}");
                context = file_context(&url, &name, kind);
                if matches!(app, App::Word) && self.dice.percent(25) {
                    "[AutoGenerated]Summarize this document".clone_into(&mut asked);
                }
                head.prompt(&asked, Parts { contexts: &context, ..Parts::default() })
            }
            App::Outlook if self.dice.percent(30) => {
                "VisualTheming".clone_into(&mut asked);
                head.prompt(&asked, Parts::default())
            }
            App::Cowork if self.dice.percent(30) => {
                head.prompt(&asked, Parts { attachments: NAMELESS_FILE, ..Parts::default() })
            }
            _ => head.prompt(&asked, Parts::default()),
        };
        items.push((text, head.at, Some(asked.clone())));
        (asked, context)
    }

    fn reply(&mut self, app: App, head: Head<'_>, context: &str) -> (String, Option<String>) {
        let sentences = 4 + self.dice.below(14);
        let words = self.prose.answer(&mut self.dice, sentences);
        let card_id = self.dice.guid().simple().to_string();
        match app {
            App::Chat => {
                let name = format!("note-{}.docx", self.dice.between(1, 900));
                let url = format!("https://contoso.sharepoint.example/sites/work/{name}?web=1");
                let visible = format!("{words} **[{name}]({url})**[1]({url}).");
                let marked = format!("{words} **{name}**[^1^].");
                let card = card(&card_id, &visible, Some(&marked));
                let links = if self.dice.percent(60) { doubled_link(&url, &name, &card_id) } else { String::new() };
                let parts = Parts { attachments: &card, links: &links, ..Parts::default() };
                (head.reply("html", &placeholder(&card_id), parts), Some(visible))
            }
            App::Excel => {
                let document = format!(r#"{{"thoughts":"look at the columns","finalResponse":{}}}"#, quoted(&words));
                let card = card(&card_id, &document, None);
                let parts = Parts { attachments: &card, contexts: context, ..Parts::default() };
                (head.reply("html", &placeholder(&card_id), parts), Some(words))
            }
            App::Outlook if self.dice.percent(20) => {
                // A picture in the body: large, and nothing to read.
                let bytes = self.dice.guid().simple().to_string().repeat(150);
                (head.reply("html", &format!(r#"<img src="data:image/png;base64,{bytes}">"#), Parts::default()), None)
            }
            App::Cowork if self.dice.percent(15) => (head.reply("html", "", Parts::default()), Some(String::new())),
            App::Cowork => {
                let parts = Parts { attachments: NAMELESS_FILE, ..Parts::default() };
                let words = words.replace('\n', " ");
                (head.reply("html", &format!("<p>{words}</p>"), parts), Some(words))
            }
            App::Teams | App::Word | App::Outlook => {
                (head.reply("text", &words, Parts { contexts: context, ..Parts::default() }), Some(words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_is_a_tenant_byte_for_byte() {
        let all = |seed| {
            let tenant = Tenant::generate(&Profile::small(), seed);
            tenant.users().iter().map(|user| (user.id, tenant.truth(user.id).join("\n"))).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn contoso_is_as_described() {
        let profile = Profile::contoso();
        let tenant = Tenant::generate(&profile, 42);
        let facts: Vec<_> = tenant.users().iter().filter_map(|user| tenant.facts(user.id)).collect();
        let holders = facts.iter().filter(|facts| facts.holds_sku).count();
        let licensed = facts.iter().filter(|facts| facts.licensed).count();
        assert_eq!((facts.len(), holders, tenant.skus.len()), (440, 412, 11));
        assert!((10..=16).contains(&(holders - licensed)), "{licensed}");
        for state in [UserState::LicenceNotSeen, UserState::NoHistory, UserState::Refused] {
            assert!(facts.iter().any(|facts| facts.state == state), "{state:?}");
        }
        assert_eq!(tenant.users().iter().map(|user| &user.upn).collect::<HashSet<_>>().len(), 440);
        let items: Vec<&Item> = tenant.users().iter().flat_map(User::items).collect();
        assert!((20_000..30_000).contains(&items.len()), "{}", items.len());
        let bytes: usize = items.iter().map(|item| item.text.len()).sum();
        assert!((1_800..4_000).contains(&(bytes / items.len())), "{}", bytes / items.len());
        let quiet = profile.now - QUIET;
        assert!(items.iter().all(|item| item.created <= quiet && item.visible_from <= quiet));
        assert!(items.iter().all(|item| item.visible_from >= item.created));
        assert!(
            tenant
                .users()
                .iter()
                .all(|user| tenant.truth(user.id).len() == tenant.truth_visible(user.id, profile.now).len())
        );
        let last_days = |user: &&User| {
            user.items().iter().any(|item| item.created > profile.now - QUIET - SignedDuration::from_hours(72))
        };
        let active = tenant.users().iter().filter(last_days).count();
        assert!((250..340).contains(&active), "{active}");
    }
}
