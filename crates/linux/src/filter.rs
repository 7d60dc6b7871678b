use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::message::set_number;

/// As many as a filter may have: the kernel's own limit (BPF_MAXINSNS).
pub const FILTER_MAX: usize = 4096;

/// An instruction of the classic packet filter: what `tcpdump -dd` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions are passed over if a comparison holds.
    pub jump_true: u8,
    /// How many are passed over if it does not.
    pub jump_false: u8,
    /// Its operand.
    pub operand: u32,
}

/// What the kernel runs over each packet before a socket has it: how many of its bytes the socket gets, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

impl Filter {
    /// A filter of these instructions, which the kernel checks when it is set. `None` for none of them, and for more than
    /// [`FILTER_MAX`].
    pub fn new(instructions: Vec<Instruction>) -> Option<Filter> {
        (1..=FILTER_MAX).contains(&instructions.len()).then_some(Filter(instructions))
    }

    /// Lets nothing through.
    pub fn nothing() -> Filter {
        Filter(vec![RETURN.operand(0)])
    }

    /// Has the kernel run it over what the socket gets from now on, instead of another.
    ///
    /// # Errors
    /// If the kernel finds fault with the instructions.
    pub fn set(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut program: Vec<libc::sock_filter> = self.0.iter().map(Instruction::for_kernel).collect();
        // `new` holds their number within FILTER_MAX.
        let length = program.len() as libc::c_ushort;
        let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
        let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
        // SAFETY: the kernel reads `size` bytes of `program`, and the `len` instructions behind it, which live until the
        // end of this function; it copies them.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Has the kernel give the socket every packet again.
pub(crate) fn clear_filter(socket: BorrowedFd<'_>) -> io::Result<()> {
    match set_number(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0) {
        // There is none.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// The accumulator becomes the byte at the operand.
pub(crate) const LOAD_BYTE: Instruction = Instruction::code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS);
/// The accumulator becomes the byte at the operand after the index.
pub(crate) const LOAD_BYTE_AT_INDEX: Instruction = Instruction::code(libc::BPF_LD | libc::BPF_B | libc::BPF_IND);
/// The index becomes the length of the header of IPv4 that begins at the operand.
pub(crate) const INDEX_IPV4_HEADER: Instruction = Instruction::code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH);
/// Compares the accumulator with the operand.
pub(crate) const IF_EQUAL: Instruction = Instruction::code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
/// The end: as many bytes as the operand says.
pub(crate) const RETURN: Instruction = Instruction::code(libc::BPF_RET | libc::BPF_K);

impl Instruction {
    const fn code(code: u32) -> Instruction {
        Instruction { code: code as u16, jump_true: 0, jump_false: 0, operand: 0 }
    }

    pub(crate) const fn operand(self, operand: u32) -> Instruction {
        Instruction { operand, ..self }
    }

    pub(crate) const fn jumps(self, jump_true: u8, jump_false: u8) -> Instruction {
        Instruction { jump_true, jump_false, ..self }
    }

    fn for_kernel(&self) -> libc::sock_filter {
        libc::sock_filter { code: self.code, jt: self.jump_true, jf: self.jump_false, k: self.operand }
    }
}
