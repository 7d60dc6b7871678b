use super::*;
use crate::example::{link, plan, vip};
use crate::message::pipe;

/// In the network that the tests run in, of which it reads.
fn tables() -> (Tables, Ear<Input>) {
    let (out, heard) = pipe().unwrap();
    let (_, ear) = pipe().unwrap();
    (Tables::open(ear, out).unwrap(), heard)
}

/// Its number is the same, and the socket of before hears nothing of it.
#[test]
fn an_interface_that_goes_and_comes_between_two_looks_gets_a_new_socket() {
    let (mut tables, heard) = tables();
    // No machine has so many.
    let index = 1_000_000;
    let scope = Scope::Group(index, true);
    tables.plan = Arc::new(plan(&[vip("web", 51, &["10.0.0.9/32"])]));
    tables.links = vec![link(index, "eth0")];
    tables.scopes = vec![(scope, vec![51])];
    assert!(tables.seen().0.closed.is_empty());
    assert_eq!(tables.scopes.len(), 1);
    tables.take_in(Event::LinkGone(link(index, "eth0")));
    tables.take_in(Event::LinkChanged(link(index, "eth0")));
    assert!(tables.seen().0.closed.is_empty());
    assert!(tables.scopes.is_empty(), "there is no such interface to open one of");
    let Ok(Some(Input::Told(Told::Trouble(text)))) = heard.next() else { panic!("it was not tried") };
    assert!(text.starts_with("opening a socket for adverts: "), "{text}");
}

#[test]
fn what_was_missed_is_read_anew_and_nothing_is_believed_to_be_there() {
    let (mut tables, _heard) = tables();
    let links = std::mem::replace(&mut tables.links, vec![link(1_000_000, "eth0")]);
    assert!(tables.take_in(Event::Overrun));
    tables.catch_up();
    assert_eq!(tables.links, links);
    assert!(tables.ours.unsure && tables.new_links && tables.gone.contains(&1_000_000));
    assert!(!tables.missed);
}
