use crate::{Config, Part};

/// A frontend without its TLS, or a backend without its balancing, is another one: these are not left out.
const PARTS_NEEDED: [&str; 3] = ["frontend", "backend", "forward"];

impl Part {
    /// What it is left out by: the first word of its name, such as `vip`. `None`: it belongs to something that would be
    /// another without it.
    pub fn kind(&self) -> Option<&str> {
        let kind = self.part.split(['.', ':']).next().unwrap_or(&self.part);
        (!PARTS_NEEDED.contains(&kind)).then_some(kind)
    }
}

impl Config {
    /// Takes away the parts of these kinds, and says which they were, in the order of the text.
    ///
    /// Without `vip` there are no groups either, and `dns` answers with addresses of vips as if they were always up:
    /// another program moves them.
    pub fn leave_out(&mut self, kinds: &[String]) -> Vec<Part> {
        let vips = kinds.iter().any(|kind| kind == "vip");
        let asked = |part: &Part| {
            part.kind().is_some_and(|kind| kinds.iter().any(|asked| asked == kind) || (vips && kind == "vip-group"))
        };
        let mut taken: Vec<Part> = self.parts.iter().chain(&self.later).filter(|part| asked(part)).cloned().collect();
        taken.sort_by(|one, other| place(one).cmp(&place(other)));
        taken.dedup();
        self.parts.retain(|part| !asked(part));
        self.later.retain(|part| !asked(part));
        for kind in kinds {
            match kind.as_str() {
                "vip" => self.leave_out_vips(),
                "vip-group" => {
                    self.failover.groups.clear();
                    self.group_notify.clear();
                }
                "dns" => self.dns = None,
                _ => {}
            }
        }
        taken
    }

    fn leave_out_vips(&mut self) {
        self.failover = failover::Plan::default();
        self.forward.sync = None;
        self.watches.clear();
        self.vip_notify.clear();
        self.group_notify.clear();
        if !self.backend_notify.iter().any(|notify| notify.counts) {
            self.notify_fifo = None;
        }
        let Some(dns) = &mut self.dns else { return };
        let answers = std::mem::take(&mut dns.addresses);
        dns.addresses = answers
            .into_iter()
            .flat_map(|answers| match answers {
                dns::Answers::Address(address) => vec![address],
                dns::Answers::Vip { addresses, .. } => addresses,
            })
            .map(dns::Answers::Address)
            .collect();
    }
}

fn place(part: &Part) -> (&str, u32, u32) {
    (&part.place.file, part.place.line, part.place.column)
}
