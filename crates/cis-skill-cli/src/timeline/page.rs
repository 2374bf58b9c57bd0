//! The page itself.

use std::fmt::Write;

use cis_skill::host::{Answer, CallTrace, HostCall, HostReply, JournalEntry};
use cis_skill::recording::Recording;

use super::axis::{Axis, grouped, micros, words};
use super::text::{block, escaped, line};

/// A recording as one page. It needs nothing from elsewhere, and its browser is told to fetch and run nothing.
pub(super) fn of(recording: &Recording) -> String {
    let times = recording.times();
    let ends = times.iter().map(|call| micros(call.answered.unwrap_or(call.asked)));
    let rests = recording.rests().iter().filter_map(|rest| rest.caught_up.or(rest.resumed)).map(micros);
    let axis = Axis::to(ends.chain(rests).chain([recording.wall_us()]));
    let page = Page { recording, axis };
    let mut out = String::new();
    page.write(&mut out).expect("a String takes whatever is written to it");
    out
}

struct Page<'r> {
    recording: &'r Recording,
    axis: Axis,
}

type Written = std::fmt::Result;

impl Page<'_> {
    fn write(&self, out: &mut String) -> Written {
        let skill = escaped(self.recording.skill().as_str());
        let event = escaped(self.recording.event().event_type());
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{skill}: {event}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<h1>{skill}: {event}</h1>\n",
            include_str!("page.css")
        )?;
        self.facts(out)?;
        self.ticks(out)?;
        self.fuel(out)?;
        self.guest(out)?;
        for (index, (entry, time)) in self.recording.calls().iter().zip(self.recording.times()).enumerate() {
            self.refused(out, index)?;
            self.call(out, index, entry, time)?;
        }
        self.refused(out, self.recording.calls().len())?;
        self.key(out)?;
        self.lines(out)?;
        self.ends(out)?;
        out.write_str("</body>\n</html>\n")
    }

    fn facts(&self, out: &mut String) -> Written {
        let ending = self.recording.ending();
        let (class, result) = match &ending.result {
            Ok(response) => ("", format!("{} bytes", grouped(response.len() as u64))),
            Err(failure) => (" class=\"bad\"", escaped(&failure.code)),
        };
        write!(out, "<div class=\"facts\"><span>answered <b{class}>{result}</b></span>")?;
        let facts = [
            ("in", words(self.recording.wall_us())),
            ("fuel", grouped(ending.fuel)),
            ("memory", format!("{} KiB", grouped(ending.memory_bytes >> 10))),
            ("on", escaped(self.recording.compiler())),
        ];
        let used = ending.used.iter().filter(|(_, amount)| *amount > 0);
        let used = used.map(|(resource, amount)| (resource.name(), grouped(amount)));
        for (name, fact) in facts.into_iter().chain(used) {
            write!(out, "<span>{name} <b>{fact}</b></span>")?;
        }
        out.write_str("</div>\n")
    }

    fn ticks(&self, out: &mut String) -> Written {
        out.write_str("<div class=\"row\"><span class=\"name\"></span><div class=\"track ticks\">")?;
        for tick in self.axis.ticks() {
            write!(out, "<span style=\"left:{:.3}%\">{}</span>", self.axis.percent(tick), words(tick))?;
        }
        out.write_str("</div><span class=\"took\"></span></div>\n")
    }

    /// The fuel used by each time: known at every call, and at the end.
    fn fuel(&self, out: &mut String) -> Written {
        let end = self.recording.ending().fuel.max(1);
        // While a call waits, nothing is used.
        let known = self.recording.times().iter().flat_map(|call| {
            [(micros(call.asked), call.fuel), (call.answered.map_or(self.axis.total(), micros), call.fuel)]
        });
        let mut points = String::from("0,100");
        for (us, fuel) in known.chain([(self.axis.total(), self.recording.ending().fuel)]) {
            let height = 100.0 - fuel.min(end) as f64 * 100.0 / end as f64;
            write!(points, " {:.3},{height:.2}", self.axis.percent(us))?;
        }
        writeln!(
            out,
            "<div class=\"row\"><span class=\"name\">fuel <span>used by then</span></span>\
             <svg class=\"fuel\" viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\"><polygon points=\"{points} 100,100\"/>\
             <polyline points=\"{points}\" vector-effect=\"non-scaling-stroke\"/></svg>\
             <span class=\"took\">{}</span></div>",
            grouped(self.recording.ending().fuel)
        )
    }

    /// When the guest itself ran: whenever no call was being answered.
    fn guest(&self, out: &mut String) -> Written {
        out.write_str("<div class=\"row\"><span class=\"name\">guest code</span><div class=\"track\">")?;
        let (mut began, mut fuel, mut total) = (0, 0, 0);
        let end = CallTrace { fuel: self.recording.ending().fuel, asked: Default::default(), answered: None };
        let last = (self.axis.total(), self.axis.total(), end.fuel);
        let calls = self
            .recording
            .times()
            .iter()
            .map(|call| (micros(call.asked), call.answered.map_or(self.axis.total(), micros), call.fuel));
        for (asked, answered, used) in calls.chain([last]) {
            if asked > began {
                let burnt = grouped(used.saturating_sub(fuel));
                self.bar(out, "guest", began, asked, &format!("guest code: {}, fuel {burnt}", words(asked - began)))?;
                total = u64::saturating_add(total, asked - began);
            }
            (began, fuel) = (answered, used);
        }
        for rest in self.recording.rests() {
            if let (Some(resumed), Some(caught_up)) = (rest.resumed.map(micros), rest.caught_up.map(micros)) {
                let took = words(caught_up.saturating_sub(resumed));
                self.bar(out, "again", resumed, caught_up, &format!("replayed up to call {}: {took}", rest.call))?;
            }
        }
        writeln!(out, "</div><span class=\"took\">{}</span></div>", words(total))
    }

    fn bar(&self, out: &mut String, class: &str, begin: u64, end: u64, title: &str) -> Written {
        let style = self.axis.style(begin, end);
        write!(out, "<div class=\"bar {class}\" style=\"{style}\" title=\"{}\"></div>", escaped(title))
    }

    fn call(&self, out: &mut String, index: usize, entry: &JournalEntry, time: &CallTrace) -> Written {
        let (asked, answered) = (micros(time.asked), time.answered.map_or(self.axis.total(), micros));
        let took = words(answered.saturating_sub(asked));
        let first = entry.call.arguments().next().map_or_else(String::new, |(_, bytes)| line(bytes));
        let (kind, name) = (kind(&entry.call), entry.call.name());
        write!(
            out,
            "<details><summary><span class=\"name\"><i>{index}</i>{name} <span>{first}</span></span><div class=\"track\">"
        )?;
        let refused = if matches!(entry.answer, Answer::Replied(_)) { "" } else { " refused" };
        let title = format!("call {index}, {name}: {took} from {} on", words(asked));
        self.bar(out, &format!("call {kind}{refused}"), asked, answered, &title)?;
        for rest in self.recording.rests().iter().filter(|rest| rest.call == index) {
            let resumed = rest.resumed.map_or(self.axis.total(), micros);
            self.bar(out, "parked", micros(rest.parked), resumed, "put down while it waited")?;
        }
        write!(out, "</div><span class=\"took\">{took}</span></summary><div class=\"more\">")?;
        write!(out, "<p class=\"note\">asked at {}, {took}; fuel {} by then", words(asked), grouped(time.fuel))?;
        if entry.charge != Default::default() {
            write!(out, "; charged {}, {}", grouped(entry.charge.count), grouped(entry.charge.amount))?;
        }
        out.write_str("</p>")?;
        for (what, bytes) in entry.call.arguments() {
            write!(out, "<h3>{what}, {} bytes</h3>{}", grouped(bytes.len() as u64), block(bytes))?;
        }
        answer(out, &entry.answer)?;
        out.write_str("</div></details>\n")
    }

    /// The calls that were refused for their arguments before the call of this number.
    fn refused(&self, out: &mut String, index: usize) -> Written {
        for refused in self.recording.refused().iter().filter(|refused| refused.before == index) {
            let (asked, name) = (micros(refused.asked), refused.call);
            write!(
                out,
                "<details><summary><span class=\"name\"><i></i>{name} <span>{}</span></span><div class=\"track\">",
                escaped(&refused.message)
            )?;
            self.bar(out, "other refused", asked, asked, &format!("{name}, refused at {}", words(asked)))?;
            writeln!(
                out,
                "</div><span class=\"took\"></span></summary><div class=\"more\"><p class=\"note\">refused at {}; fuel {} by \
                 then; not in the journal</p><h3 class=\"bad\">status {}</h3>{}</div></details>",
                words(asked),
                grouped(refused.fuel),
                refused.status.name(),
                block(refused.message.as_bytes())
            )?;
        }
        Ok(())
    }

    fn key(&self, out: &mut String) -> Written {
        out.write_str("<div class=\"key\">")?;
        let kinds = ["guest", "memory", "ai", "http", "log", "other", "other refused", "parked", "again"];
        let named = [
            "guest code",
            "memory",
            "AI",
            "HTTP",
            "log",
            "other calls",
            "no answer, or an error",
            "put down",
            "run again",
        ];
        for (class, name) in kinds.into_iter().zip(named) {
            write!(out, "<span><i class=\"{class}\"></i>{name}</span>")?;
        }
        out.write_str("</div>\n")
    }

    /// The log, with the time of each line where the line was logged by a call that is on the axis.
    fn lines(&self, out: &mut String) -> Written {
        let calls = self.recording.calls().iter().zip(self.recording.times());
        let mut times = calls.filter(|(entry, _)| {
            matches!(entry.call, HostCall::Log { .. }) && entry.answer == Answer::Replied(HostReply::OK)
        });
        out.write_str("<h2>Log</h2>\n<div class=\"lines\">\n")?;
        let init = self.recording.init_log().iter().map(|line| (line, None));
        let event = self.recording.ending().log.iter().map(|line| (line, times.next().map(|(_, time)| time)));
        let mut none = true;
        for (line, time) in init.chain(event) {
            none = false;
            let at = time.map_or("at load".into(), |time| words(micros(time.asked)));
            writeln!(out, "<div><span>{at}</span><b>{}</b>{}</div>", line.level.name(), escaped(&line.message))?;
        }
        out.write_str(if none { "<p class=\"note\">nothing was logged</p></div>\n" } else { "</div>\n" })
    }

    fn ends(&self, out: &mut String) -> Written {
        writeln!(out, "<h2>Event data</h2>\n{}", block(self.recording.event().data()))?;
        match &self.recording.ending().result {
            Ok(response) => writeln!(out, "<h2>Response</h2>\n{}", block(response))?,
            Err(failure) => writeln!(
                out,
                "<h2 class=\"bad\">Error {} (fault: {})</h2>\n{}",
                escaped(&failure.code),
                escaped(&failure.fault),
                block(failure.message.as_bytes())
            )?,
        }
        let init = self.recording.init_calls();
        if !init.is_empty() {
            out.write_str("<h2>Asked at load</h2>\n")?;
        }
        for entry in init {
            write!(
                out,
                "<details><summary><span class=\"name\">{}</span></summary><div class=\"more\">",
                entry.call.name()
            )?;
            for (what, bytes) in entry.call.arguments() {
                write!(out, "<h3>{what}</h3>{}", block(bytes))?;
            }
            answer(out, &entry.answer)?;
            out.write_str("</div></details>\n")?;
        }
        writeln!(out, "<h2>Manifest</h2>\n{}", block(self.recording.manifest().as_bytes()))
    }
}

fn answer(out: &mut String, answer: &Answer) -> Written {
    match answer {
        Answer::Replied(HostReply::Bytes(bytes)) => {
            write!(out, "<h3>reply, {} bytes</h3>{}", grouped(bytes.len() as u64), block(bytes))
        }
        Answer::Replied(HostReply::Status(status)) => write!(out, "<h3>status {}</h3>", status.name()),
        Answer::Refused { status, message } => {
            write!(out, "<h3 class=\"bad\">status {}</h3>{}", status.name(), block(message.as_bytes()))
        }
        Answer::Exhausted { resource, wanted } => {
            write!(
                out,
                "<h3 class=\"bad\">the event ended: {} more {} were not left</h3>",
                grouped(*wanted),
                resource.name()
            )
        }
        Answer::Unanswered => out.write_str("<h3 class=\"bad\">no answer: the event was stopped while it waited</h3>"),
    }
}

/// The kind of a call, as a class of the page.
fn kind(call: &HostCall) -> &'static str {
    match call {
        HostCall::AiChat { .. } => "ai",
        HostCall::HttpPost { .. } => "http",
        HostCall::Log { .. } => "log",
        HostCall::MemoryDelete { .. }
        | HostCall::MemoryGet { .. }
        | HostCall::MemoryList { .. }
        | HostCall::MemorySet { .. } => "memory",
        _ => "other",
    }
}
