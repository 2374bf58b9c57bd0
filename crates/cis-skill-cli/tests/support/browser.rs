//! A real browser, without a window.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The names that Chromium goes by.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser of this machine.
pub struct Browser(&'static str);

/// What came of a page.
pub struct Shown {
    /// The document after its scripts have run.
    pub dom: String,
    /// Whether anything was said on the page's console: an error of a script, something that the page forbids.
    pub complained: bool,
}

/// The browser of this machine. Where there must be one, there being none is a failure.
pub fn browser() -> Option<Browser> {
    let found = NAMES.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        assert!(std::env::var_os("CIS_REQUIRE_CHROMIUM").is_none(), "chromium is missing");
        // Past the capture of a test's output: this is to be seen although the test passes.
        let note = b"LEFT OUT: no browser looks at the timeline; `apt-get install chromium`\n";
        std::io::stderr().write_all(note).unwrap();
    }
    found.map(Browser)
}

impl Browser {
    /// Opens a page and waits until it is there.
    #[track_caller]
    pub fn show(&self, page: &Path) -> Shown {
        let output = self.command(page).arg("--dump-dom").arg(page).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let dom = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && dom.contains("</html>"), "{dom}{stderr}");
        Shown { dom, complained: stderr.contains(":CONSOLE") }
    }

    fn command(&self, page: &Path) -> Command {
        let mut command = Command::new(self.0);
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
        command.args(["--no-first-run", "--window-size=1200,900"]);
        // A profile of its own, so that tests do not share one.
        command.arg(format!("--user-data-dir={}", page.with_extension("profile").display()));
        command
    }
}
