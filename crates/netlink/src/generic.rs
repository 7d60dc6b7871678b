//! Families of generic netlink, whose numbers the kernel gives out as they come (linux/genetlink.h).

use crate::Error;
use crate::codec::{Attributes, CHANGE, Malformed, Requests, short};
use crate::exchange::Exchange;

/// The family that knows the others (GENL_ID_CTRL).
const CONTROLLER: u16 = 0x10;
/// CTRL_CMD_GETFAMILY.
const FIND_FAMILY: u8 = 3;
/// The controller's own version.
const CONTROLLER_VERSION: u8 = 2;
/// CTRL_ATTR_FAMILY_ID and CTRL_ATTR_FAMILY_NAME.
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// struct genlmsghdr: command, version, two reserved bytes.
pub(crate) const FIXED: usize = 4;

/// A message's fixed part.
pub(crate) fn fixed(command: u8, version: u8) -> [u8; FIXED] {
    [command, version, 0, 0]
}

/// The number of the family of this name. A kernel that does not have it loads the module that says that it is this family;
/// the module stays.
///
/// # Errors
/// Of the errno ENOENT when there is none.
pub(crate) fn family(exchange: &mut Exchange, tried: &str, name: &str) -> Result<u16, Error> {
    let mut requests = Requests::default();
    find_family(name, &mut requests);
    let (found, _) = exchange.ask(tried, requests, CONTROLLER, parse_family)?;
    found.into_iter().next().ok_or_else(|| Error::Malformed { tried: tried.to_owned() })
}

fn find_family(name: &str, requests: &mut Requests) {
    requests.begin(CONTROLLER, CHANGE, &fixed(FIND_FAMILY, CONTROLLER_VERSION)).text(FAMILY_NAME, name);
}

fn parse_family(body: &[u8]) -> Result<Option<u16>, Malformed> {
    for attribute in Attributes::after(body, FIXED) {
        if let (FAMILY_ID, value) = attribute? {
            return short(value, 0).map(Some);
        }
    }
    Ok(None)
}
