//! The rows against what the simulator knows that a person read.

use std::collections::{BTreeMap, BTreeSet};

use graph_simulator::{Item, Profile, Tenant, User, forms};
use views::{AUTOMATIC, Fetched, Interaction, Role, TextSource, arrange};

fn tenant() -> Tenant {
    Tenant::generate(&Profile::small(), 42)
}

fn texts(item: &Item) -> impl Iterator<Item = &str> {
    std::iter::once(&*item.text).chain(item.edits.iter().map(|edit| &*edit.text))
}

#[test]
fn the_text_is_what_a_person_read() {
    let tenant = tenant();
    let mut sources: BTreeMap<(TextSource, String), u64> = BTreeMap::new();
    for item in tenant.users().iter().flat_map(User::items).filter(|item| item.expected_text.is_some()) {
        let row = Interaction::read(&item.text);
        assert_eq!(row.text, item.expected_text, "{}", item.text);
        assert_eq!(row.text_source == TextSource::Empty, row.text.as_deref() == Some(""));
        assert_eq!(row.skipped_elements, 0);
        *sources.entry((row.text_source, row.app.unwrap())).or_default() += 1;
    }
    // Every form that an application has was among them.
    for (source, app) in [
        (TextSource::Card, "BizChat"),
        (TextSource::FinalResponse, "Excel"),
        (TextSource::Body, "Teams"),
        (TextSource::Body, "Word"),
        (TextSource::Body, "Outlook"),
        (TextSource::Body, "CoworkChat"),
        (TextSource::Empty, "CoworkChat"),
    ] {
        assert!(sources.contains_key(&(source, app.to_owned())), "{source:?} {app}: {sources:?}");
    }
}

#[test]
fn every_form_is_read_as_it_was_written() {
    let (mut sources, mut reasons, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for form in forms() {
        let row = Interaction::read(&form.item);
        let found = (row.text, row.text_source.as_str(), row.automatic_reason);
        let expected = (form.text, form.source, form.automatic_reason);
        sources.insert(expected.1);
        reasons.extend(expected.2);
        if found != expected {
            wrong.push(format!("{}: {found:?} instead of {expected:?}", form.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every source and every reason that the rules give was among them.
    assert_eq!(sources, BTreeSet::from(["body", "card", "empty", "final-response", "unparsed"]));
    assert_eq!(reasons, AUTOMATIC.iter().map(|rule| rule.name).collect());
}

#[test]
fn what_nobody_could_read_is_unparsed_and_not_empty() {
    let tenant = tenant();
    let pictures: Vec<Interaction> = tenant
        .users()
        .iter()
        .flat_map(User::items)
        .filter(|item| item.expected_text.is_none() && item.text.contains("data:image"))
        .map(|item| Interaction::read(&item.text))
        .collect();
    assert!(!pictures.is_empty());
    for row in pictures {
        assert_eq!((row.text, row.text_source), (None, TextSource::Unparsed));
        assert_eq!(row.automatic_reason, Some("theme-image"));
    }
}

#[test]
fn every_item_gives_a_row_whatever_it_holds() {
    let tenant = tenant();
    let hostile: Vec<&User> =
        tenant.users().iter().filter(|user| user.items().iter().any(|item| &*item.text == "null")).collect();
    assert!(!hostile.is_empty());
    for user in hostile {
        let rows: Vec<Interaction> = user.items().iter().flat_map(texts).map(Interaction::read).collect();
        assert!(rows.iter().filter(|row| row.text_source == TextSource::Unparsed).count() > 30);
        assert!(rows.iter().all(|row| (row.text_source == TextSource::Unparsed) == row.text.is_none()));
        let fetched: Vec<Fetched<'_>> =
            rows.iter().map(|interaction| Fetched { interaction, fetched_at: tenant.now }).collect();
        let arranged = arrange(&fetched);
        assert_eq!(arranged.places.len(), fetched.len());
        let repeated = fetched.iter().position(|one| one.interaction.etag.as_deref() == Some("1790000000001")).unwrap();
        assert_eq!((arranged.places[repeated].version_no, arranged.places[repeated].is_latest), (2, true));
    }
}

#[test]
fn every_prompt_and_answer_is_in_one_turn() {
    let tenant = tenant();
    let mut reasons = BTreeSet::new();
    for user in tenant.users() {
        let read: Vec<Interaction> = user.items().iter().map(|item| Interaction::read(&item.text)).collect();
        let rows: Vec<Fetched<'_>> =
            read.iter().map(|interaction| Fetched { interaction, fetched_at: tenant.now }).collect();
        let arranged = arrange(&rows);
        let mut seen = BTreeSet::new();
        for (number, turn) in arranged.turns.iter().enumerate() {
            for at in turn.prompts.iter().chain(&turn.answers) {
                assert!(seen.insert(*at) && arranged.places[*at].turn == Some(number));
            }
            // The generator answers after it asks, and every answer has its prompt.
            assert_eq!(turn.prompts.len(), 1);
            assert!(turn.latency().is_none_or(|latency| latency.is_positive()));
            reasons.extend(turn.automatic_reason);
        }
        let expected = (0..rows.len())
            .filter(|at| arranged.places[*at].is_latest && rows[*at].interaction.role != Role::Other)
            .collect();
        assert_eq!(seen, expected);
    }
    assert!(reasons.contains("auto-generated") && reasons.contains("visual-theming"), "{reasons:?}");
}

#[test]
fn near_duplicates_and_interim_answers_are_marked_and_kept() {
    let tenant = tenant();
    let (mut duplicates, mut interim) = (0, 0);
    for user in tenant.users() {
        let read: Vec<Interaction> = user.items().iter().map(|item| Interaction::read(&item.text)).collect();
        let rows: Vec<Fetched<'_>> =
            read.iter().map(|interaction| Fetched { interaction, fetched_at: tenant.now }).collect();
        for (at, place) in arrange(&rows).places.into_iter().enumerate() {
            let row = &rows[at].interaction;
            interim += u64::from(row.is_interim);
            assert_eq!(row.is_interim, row.text.as_deref() == Some("Searching…"));
            if let Some(other) = place.near_duplicate_of {
                let other = &rows[other].interaction;
                assert_eq!((&row.text, &row.session_id), (&other.text, &other.session_id));
                assert_ne!(row.id, other.id);
                duplicates += 1;
            }
        }
    }
    assert!(duplicates > 0 && interim > 0, "{duplicates} {interim}");
}
