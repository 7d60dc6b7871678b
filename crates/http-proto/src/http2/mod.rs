//! What of HTTP/2 is looked at here (RFC 9113): which frames come and go, and heads on their way from one version to
//! the other. The frames themselves are read and written by a library.

mod budget;
mod fields;
mod frames;
mod head;

pub use budget::{Budget, Flood};
pub use fields::{Line, lines, split_head};
pub use frames::{Fault, Frame, Frames, PREFACE, kind};
pub use head::{Pseudo, write_head, write_trailers};
