//! Tables as kubectl prints them: columns lined up, three spaces between them.

use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: usize = 3;

/// Rows under a header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Columns are at least as wide as these: what keeps later pages in line with the first.
    floor: Vec<usize>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Pairs of a name and a value, without a header.
    pub(crate) fn pairs() -> Self {
        Self::default()
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell.into())).collect());
    }

    /// The rows without the header, lined up with what `first` printed.
    pub(crate) fn continue_from(mut self, first: &Self) -> Self {
        self.floor = first.widths();
        self.header = Vec::new();
        self
    }

    fn widths(&self) -> Vec<usize> {
        let columns =
            self.rows.iter().map(Vec::len).chain([self.header.len(), self.floor.len()]).max().unwrap_or(0);
        (0..columns)
            .map(|column| {
                let cells = self.rows.iter().chain([&self.header]).filter_map(|row| row.get(column));
                let widest = cells.map(|cell| visible_width(cell)).max().unwrap_or(0);
                widest.max(self.floor.get(column).copied().unwrap_or(0))
            })
            .collect()
    }

    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        let header = Some(&self.header).filter(|header| !header.is_empty());
        for row in header.into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - visible_width(cell).min(*width) + GAP));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A cell never breaks the line, and what a terminal would obey is shown instead.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Our own colours are the only escapes that may pass: `ESC [ digits m`.
            '\x1b' if is_color(characters.clone()) => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn is_color(mut rest: impl Iterator<Item = char>) -> bool {
    rest.next() == Some('[') && rest.find(|c| !(c.is_ascii_digit() || *c == ';')) == Some('m')
}

fn visible_width(cell: &str) -> usize {
    let mut plain = String::with_capacity(cell.len());
    let mut characters = cell.chars();
    while let Some(c) = characters.next() {
        if c == '\x1b' {
            characters.by_ref().find(|c| *c == 'm');
        } else {
            plain.push(c);
        }
    }
    plain.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script_and_the_colour() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["東京", "\x1b[32mReady\x1b[0m"]);
        table.row(["a", "x\ny\x07"]);
        assert_eq!(table.render(), "NAME   STATE\n東京   \x1b[32mReady\x1b[0m\na      x\\ny\\u{7}\n");
    }

    #[test]
    fn a_later_page_keeps_the_columns_of_the_first() {
        let mut first = Table::new(["NAME", "N"]);
        first.row(["longer-name", "1"]);
        let mut second = Table::new(["NAME", "N"]);
        second.row(["x", "2"]);
        assert_eq!(second.continue_from(&first).render(), "x             2\n");
    }
}
