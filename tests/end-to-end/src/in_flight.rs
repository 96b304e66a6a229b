//! A world in the middle of its runs, as a folder of files: what a program leaves behind when another version takes its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use domain::{TenantId, Timestamp, UserId};
use graph_simulator::{CHAT_PLAN, Item, Tenant, User};
use queue::{Outgoing, Queue};
use serde::{Deserialize, Serialize};

use crate::{BATCH, World};

/// Everything that is in some store or queue at one moment, and the tenant that it came from.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// The tenant, whose `now` is that moment. The truth is kept too: later simulators may make other items.
    pub tenant: Tenant,
    /// The objects of both stores.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// The bodies of the messages in the queue.
    pub messages: Vec<String>,
}

/// The tenant as a file.
#[derive(Serialize, Deserialize)]
struct TenantFile {
    tenant_id: TenantId,
    now: Timestamp,
    users: Vec<UserFile>,
}

#[derive(Serialize, Deserialize)]
struct UserFile {
    user_id: UserId,
    plan: PlanState,
    items: Vec<ItemFile>,
}

/// Whether a user holds the licence.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PlanState {
    On,
    Off,
    Absent,
}

#[derive(Serialize, Deserialize)]
struct ItemFile {
    created: Timestamp,
    text: String,
}

impl InFlight {
    /// The world as it is now. It is over after that: its messages are taken out of the queue.
    pub async fn of(world: World) -> Self {
        let mut tenant = Tenant::clone(world.simulator.tenant());
        tenant.now = world.seconds();
        let mut messages = Vec::new();
        loop {
            let batch = world.queue.receive(BATCH).await;
            if batch.is_empty() {
                break;
            }
            messages.extend(batch.into_iter().map(|delivery| delivery.body));
        }
        let objects = world.store.objects().into_iter().map(|(key, bytes)| (key, bytes.to_vec())).collect();
        Self { tenant, objects, messages }
    }

    /// A world that goes on from here, with other chances than the one before: two attempts never share an id.
    pub async fn world(self, seed: u64) -> World {
        let mut world = World::new(self.tenant);
        world.reseed(seed);
        for (key, bytes) in self.objects {
            world.store.overwrite(&key, bytes);
        }
        let outgoing = self.messages.into_iter().map(|body| Outgoing { body, delay: Duration::ZERO });
        world.queue.send(outgoing.collect()).await.expect("a queue in memory takes all");
        world
    }

    /// Writes it as a folder.
    pub fn save(&self, folder: &Path) {
        for (key, bytes) in &self.objects {
            let path = folder.join("archive").join(key);
            fs::create_dir_all(path.parent().expect("a key is a path in a folder")).expect("the folder can be written");
            fs::write(path, bytes).expect("the folder can be written");
        }
        let users = self.tenant.users().iter().map(|user| UserFile {
            user_id: user.id,
            plan: match user.licences.first() {
                None => PlanState::Absent,
                Some(_) if self.tenant.is_licensed(user) => PlanState::On,
                Some(_) => PlanState::Off,
            },
            items: user
                .items()
                .iter()
                .map(|item| ItemFile { created: item.created, text: item.text.to_string() })
                .collect(),
        });
        let tenant = TenantFile { tenant_id: self.tenant.id, now: self.tenant.now, users: users.collect() };
        let tenant = serde_json::to_string_pretty(&tenant).expect("plain values");
        fs::write(folder.join("tenant.json"), tenant + "\n").expect("the folder can be written");
        let messages: String = self.messages.iter().map(|body| format!("{body}\n")).collect();
        fs::write(folder.join("messages.jsonl"), messages).expect("the folder can be written");
    }

    /// Reads it from a folder.
    pub fn load(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).expect("a file of the set");
        let file: TenantFile = serde_json::from_str(&text("tenant.json")).expect("a tenant");
        let mut tenant = Tenant::new(file.tenant_id, file.now);
        for UserFile { user_id, plan, items } in file.users {
            let mut user = User::new(user_id);
            let mut licence = tenant.licence();
            match plan {
                PlanState::On => user.licences.push(licence),
                PlanState::Off => {
                    licence.disabled_plans.push(CHAT_PLAN);
                    user.licences.push(licence);
                }
                PlanState::Absent => {}
            }
            for ItemFile { created, text } in items {
                assert!(user.add_item(Item::new(text, created)), "an item twice");
            }
            tenant.add_user(user);
        }
        let mut objects = BTreeMap::new();
        collect(&folder.join("archive"), "", &mut objects);
        Self { tenant, objects, messages: text("messages.jsonl").lines().map(str::to_owned).collect() }
    }
}

/// The files of a folder by their paths below it.
fn collect(folder: &Path, key: &str, objects: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder of the set") {
        let entry = entry.expect("an entry of a folder of the set");
        let name = entry.file_name().into_string().expect("keys are ASCII");
        let key = if key.is_empty() { name } else { format!("{key}/{name}") };
        if entry.path().is_dir() {
            collect(&entry.path(), &key, objects);
        } else {
            objects.insert(key, fs::read(entry.path()).expect("a file of the set"));
        }
    }
}
