//! Tables of nf_tables (linux/netfilter/nf_tables.h): changed whole in transactions, and read.

mod expression;
mod read;
mod transaction;

pub use expression::{Base, Comparison, Connection, Expression, Meta, Register};
pub use read::{Chain, Element, Rule, Set};
pub use transaction::{Element as NewElement, Family, Hook, NewSet, SetKind, Transaction};

use crate::Error;
use crate::netfilter::{Subsystem, Talk, fixed};
use transaction::{TABLE_OF_CHAIN, TABLE_OF_ELEMENTS, TABLE_OF_RULE, TABLE_OF_SET};

/// NFNL_SUBSYS_NFTABLES.
pub(crate) const NFTABLES: Subsystem = Subsystem(10);

const NEW_CHAIN: u8 = 3;
const GET_CHAIN: u8 = 4;
const NEW_RULE: u8 = 6;
const GET_RULE: u8 = 7;
const NEW_SET: u8 = 9;
const GET_SET: u8 = 10;
const NEW_ELEMENTS: u8 = 12;
const GET_ELEMENTS: u8 = 13;
const NEW_GENERATION: u8 = 15;
const GET_GENERATION: u8 = 16;

/// NFTA_SET_ELEM_LIST_SET.
const SET_OF_ELEMENTS: u16 = 2;

/// nf_tables of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nft {
    talk: Talk,
}

impl Nft {
    /// A socket to ask and to change it by; both need CAP_NET_ADMIN.
    ///
    /// # Errors
    /// If there is no descriptor left, or no netfilter in the kernel.
    pub fn open() -> Result<Nft, Error> {
        Ok(Nft { talk: Talk::open("asking the kernel for nftables")? })
    }

    /// Makes all changes of a transaction, or none.
    ///
    /// # Errors
    /// If the kernel refuses one of them.
    pub fn commit(&mut self, transaction: Transaction) -> Result<(), Error> {
        if transaction.is_empty() {
            return Ok(());
        }
        self.talk.commit("changing nftables", NFTABLES, |requests, number| transaction.write(requests, number))
    }

    /// A number that is another one after each change of any table, whoever made it.
    ///
    /// # Errors
    /// If the kernel does not tell it, as one without nf_tables.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let mut found = None;
        self.talk.each(
            "asking for the generation of nftables",
            (NFTABLES.kind(GET_GENERATION), 0, NFTABLES.kind(NEW_GENERATION)),
            |request| {
                request.fixed(&fixed(0, 0));
            },
            |body| {
                found = Some(read::generation(body)?);
                Ok(())
            },
        )?;
        found.ok_or_else(|| Error::Malformed { tried: "asking for the generation of nftables".to_owned() })
    }

    /// The chains of the table of this name; none if there is no such table.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn chains(&mut self, family: Family, table: &str) -> Result<Vec<Chain>, Error> {
        // The kernel lists those of all tables of the family.
        self.talk.list(
            "listing chains",
            NFTABLES.kind(GET_CHAIN),
            NFTABLES.kind(NEW_CHAIN),
            |request| {
                request.fixed(&fixed(family as u8, 0)).text(TABLE_OF_CHAIN, table);
            },
            |body, found| read::chain(body, table, found),
        )
    }

    /// The rules of the table of this name, chain by chain in their order; none if there is no such table.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn rules(&mut self, family: Family, table: &str) -> Result<Vec<Rule>, Error> {
        self.talk.list(
            "listing rules",
            NFTABLES.kind(GET_RULE),
            NFTABLES.kind(NEW_RULE),
            |request| {
                request.fixed(&fixed(family as u8, 0)).text(TABLE_OF_RULE, table);
            },
            |body, found| read::rule(body, table, found),
        )
    }

    /// The sets and maps of the table of this name; none if there is no such table.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn sets(&mut self, family: Family, table: &str) -> Result<Vec<Set>, Error> {
        let listed = self.talk.list(
            "listing sets",
            NFTABLES.kind(GET_SET),
            NFTABLES.kind(NEW_SET),
            |request| {
                request.fixed(&fixed(family as u8, 0)).text(TABLE_OF_SET, table);
            },
            |body, found| read::set(body, table, found),
        );
        absent_is_empty(listed)
    }

    /// The elements of a set or map.
    ///
    /// # Errors
    /// If the kernel does not tell them, as of a set that is not there.
    pub fn elements(&mut self, family: Family, table: &str, set: &str) -> Result<Vec<Element>, Error> {
        self.talk.list(
            "listing elements",
            NFTABLES.kind(GET_ELEMENTS),
            NFTABLES.kind(NEW_ELEMENTS),
            |request| {
                request.fixed(&fixed(family as u8, 0)).text(TABLE_OF_ELEMENTS, table).text(SET_OF_ELEMENTS, set);
            },
            read::elements,
        )
    }
}

/// Sets of a table that is not there are none; of the other lists the kernel says so itself.
fn absent_is_empty<T>(listed: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    match listed {
        Err(error) if error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) => Ok(Vec::new()),
        listed => listed,
    }
}

#[cfg(test)]
mod tests;
