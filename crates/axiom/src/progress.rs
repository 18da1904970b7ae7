//! What a person sees while they wait: a bar on a terminal, plain lines elsewhere, nothing
//! with `--json`.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A bar on the terminal, lines above it.
    Bar,
    /// Lines on standard error.
    Lines,
    /// Nothing.
    Quiet,
}

/// A bar, or nothing.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Progress {
    /// A bar where standard error is a terminal, lines otherwise, nothing when `quiet`.
    pub(crate) fn detect(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }

    /// A bar over `total` of something.
    pub(crate) fn bar(self, total: u64, unit: &str) -> Bar {
        let bar = ProgressBar::new(total);
        let target = if self == Self::Bar {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        bar.set_draw_target(target);
        let template =
            format!("{{bar:30}} {{pos}}/{{len}} {unit} [{{elapsed}} < {{eta}}] {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Bar(bar)
    }

    /// A line that nobody may miss, whatever else is shown.
    #[expect(clippy::print_stderr, reason = "this is where progress is printed")]
    pub(crate) fn warn(self, text: &str) {
        eprintln!("axiom: warning: {text}");
    }

    /// A line for logs, where there is no bar.
    #[expect(clippy::print_stderr, reason = "this is where progress is printed")]
    pub(crate) fn line(self, text: &str) {
        if self == Self::Lines {
            eprintln!("{text}");
        }
    }
}

impl Bar {
    /// Moves to `position` and shows `message`.
    pub(crate) fn set(&self, position: u64, message: &str) {
        self.0.set_position(position);
        self.0.set_message(message.to_string());
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
